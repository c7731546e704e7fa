-- get_task_statistics: the workflows by name, over all versions: how many tasks were created since
-- a time, how they ended, and how long it took until they were complete.

create function get_task_statistics(
    since timestamptz default null,
    namespace text default null,
    name text default null
)
returns setof task_statistics
language plpgsql
stable
set search_path from current
set jit = off
as $$
begin
    return query
    with measure as (
        select
            named_task.namespace,
            named_task.name,
            found.fact,
            found.seconds,
            found.occurrences,
            found.total_seconds,
            found.fact = 'complete' as counts
        from _measures(get_task_statistics.since, 'task') found
        join named_tasks named_task on named_task.named_task_id = found.named_id
        where named_task.namespace
                = coalesce(get_task_statistics.namespace, named_task.namespace)
            and named_task.name = coalesce(get_task_statistics.name, named_task.name)
    ),
    ordered as (
        select
            measure.*,
            sum(measure.occurrences::double precision) over (
                partition by measure.namespace, measure.name, measure.counts
                order by measure.seconds
            ) as running,
            sum(measure.occurrences::double precision) over (
                partition by measure.namespace, measure.name, measure.counts
            ) as total
        from measure
    )
    select
        ordered.namespace,
        ordered.name,
        coalesce(sum(ordered.occurrences) filter (where ordered.fact = 'created'), 0)::bigint,
        coalesce(sum(ordered.occurrences) filter (where ordered.counts), 0)::bigint,
        coalesce(sum(ordered.occurrences) filter (where ordered.fact = 'error'), 0)::bigint,
        coalesce(sum(ordered.occurrences) filter (where ordered.fact = 'cancelled'), 0)::bigint,
        coalesce(
            sum(ordered.occurrences) filter (where ordered.fact = 'resolved_manually'), 0
        )::bigint,
        sum(ordered.total_seconds) filter (where ordered.counts)
            / (sum(ordered.occurrences) filter (where ordered.counts))::double precision,
        min(ordered.seconds) filter (
            where ordered.counts and ordered.running >= 0.50 * ordered.total
        ),
        min(ordered.seconds) filter (
            where ordered.counts and ordered.running >= 0.95 * ordered.total
        ) as p95,
        min(ordered.seconds) filter (
            where ordered.counts and ordered.running >= 0.99 * ordered.total
        )
    from ordered
    group by ordered.namespace, ordered.name
    order by p95 desc nulls last, ordered.namespace, ordered.name;
end;
$$;

comment on function get_task_statistics(timestamptz, text, text) is
    'Tasks by workflow: created, how they ended, how long it took; the last hour unless given.';
