-- get_step_statistics: the steps of each workflow by name, over all versions: how often they ran
-- since a time, how many attempts failed, how long they ran and how long they waited in the queue.

create function get_step_statistics(
    since timestamptz default null,
    namespace text default null,
    name text default null
)
returns setof step_statistics
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
            named_task.name as workflow_name,
            named_step.name as step_name,
            found.fact = 'wait' as is_wait,
            found.fact,
            found.seconds,
            found.occurrences,
            found.total_seconds
        from _measures(get_step_statistics.since, 'step') found
        join named_steps named_step on named_step.named_step_id = found.named_id
        join named_tasks named_task on named_task.named_task_id = named_step.named_task_id
        where found.fact in ('complete', 'error', 'wait')
            and named_task.namespace
                = coalesce(get_step_statistics.namespace, named_task.namespace)
            and named_task.name = coalesce(get_step_statistics.name, named_task.name)
    ),
    ordered as (
        select
            measure.*,
            sum(measure.occurrences::double precision) over (
                partition by
                    measure.namespace, measure.workflow_name, measure.step_name, measure.is_wait
                order by measure.seconds
            ) as running,
            sum(measure.occurrences::double precision) over (
                partition by
                    measure.namespace, measure.workflow_name, measure.step_name, measure.is_wait
            ) as total
        from measure
    ),
    distribution as (
        select
            ordered.namespace,
            ordered.workflow_name,
            ordered.step_name,
            ordered.is_wait,
            sum(ordered.occurrences)::bigint as attempts,
            coalesce(sum(ordered.occurrences) filter (where ordered.fact = 'error'), 0)::bigint
                as errors,
            sum(ordered.total_seconds) / sum(ordered.occurrences)::double precision as mean,
            min(ordered.seconds) filter (where ordered.running >= 0.50 * ordered.total) as p50,
            min(ordered.seconds) filter (where ordered.running >= 0.95 * ordered.total) as p95,
            min(ordered.seconds) filter (where ordered.running >= 0.99 * ordered.total) as p99
        from ordered
        group by ordered.namespace, ordered.workflow_name, ordered.step_name, ordered.is_wait
    )
    select
        run.namespace, run.workflow_name, run.step_name, run.attempts, run.errors,
        run.errors::double precision / run.attempts,
        run.mean, run.p50, run.p95, run.p99,
        wait.mean, wait.p50, wait.p95, wait.p99
    from distribution run
    left join distribution wait
        on wait.namespace = run.namespace
        and wait.workflow_name = run.workflow_name
        and wait.step_name = run.step_name
        and wait.is_wait
    where not run.is_wait
    order by run.p95 desc, run.namespace, run.workflow_name, run.step_name;
end;
$$;

comment on function get_step_statistics(timestamptz, text, text) is
    'Attempts, errors, run time and queue wait of steps by name; the last hour unless given.';
