-- get_analytics_metrics: how much was done since a time, how much of it failed, and how long it
-- took: tasks from when they could start, attempts at work, steps in the queue.
--
-- Exact for up to an hour; longer windows begin at the start of an hour, those of more than two
-- days at the start of a day (UTC), and their percentiles are within 5 %.

create function get_analytics_metrics(since timestamptz default null)
returns table (
    analysis_period_start timestamptz,
    calculated_at timestamptz,
    is_exact boolean,
    active_tasks bigint,
    created_tasks bigint,
    completed_tasks bigint,
    failed_tasks bigint,
    cancelled_tasks bigint,
    resolved_tasks bigint,
    attempts bigint,
    completed_steps bigint,
    failed_attempts bigint,
    error_rate double precision,
    tasks_per_second double precision,
    steps_per_second double precision,
    task_seconds_p50 double precision,
    task_seconds_p95 double precision,
    task_seconds_p99 double precision,
    run_seconds_p50 double precision,
    run_seconds_p95 double precision,
    run_seconds_p99 double precision,
    wait_seconds_p50 double precision,
    wait_seconds_p95 double precision,
    wait_seconds_p99 double precision
)
language plpgsql
stable
set search_path from current
set jit = off
as $$
declare
    v_now timestamptz := clock();
    v_start timestamptz := _analysis_start(get_analytics_metrics.since);
    v_window double precision := nullif(greatest(0, extract(epoch from v_now - v_start)), 0);
begin
    return query
    with measure as materialized (
        select
            found.*,
            case
                when found.subject = 'task' and found.fact = 'complete' then 'task'
                when found.fact = 'wait' then 'wait'
                when found.subject = 'step' and found.fact in ('complete', 'error') then 'run'
            end as kind
        from _measures(get_analytics_metrics.since) found
    ),
    quantile as (
        select
            ordered.kind,
            min(ordered.seconds) filter (where ordered.running >= 0.50 * ordered.total) as p50,
            min(ordered.seconds) filter (where ordered.running >= 0.95 * ordered.total) as p95,
            min(ordered.seconds) filter (where ordered.running >= 0.99 * ordered.total) as p99
        from (
            select
                measure.kind,
                measure.seconds,
                sum(measure.occurrences::double precision) over (
                    partition by measure.kind
                    order by measure.seconds
                ) as running,
                sum(measure.occurrences::double precision) over (partition by measure.kind) as total
            from measure
            where measure.kind is not null
        ) ordered
        group by ordered.kind
    ),
    counted as (
        select
            sum(occurrences) filter (where subject = 'task' and fact = 'created') as created,
            sum(occurrences) filter (where subject = 'task' and fact = 'complete') as completed,
            sum(occurrences) filter (where subject = 'task' and fact = 'error') as failed,
            sum(occurrences) filter (where subject = 'task' and fact = 'cancelled') as cancelled,
            sum(occurrences) filter (
                where subject = 'task' and fact = 'resolved_manually'
            ) as resolved,
            sum(occurrences) filter (where kind = 'run') as attempts,
            sum(occurrences) filter (where kind = 'run' and fact = 'complete') as completed_steps,
            sum(occurrences) filter (where kind = 'run' and fact = 'error') as failed_attempts
        from measure
    )
    select
        v_start,
        v_now,
        _analysis_is_exact(get_analytics_metrics.since),
        (select count(*) from tasks task where not task.complete),
        coalesce(counted.created, 0)::bigint,
        coalesce(counted.completed, 0)::bigint,
        coalesce(counted.failed, 0)::bigint,
        coalesce(counted.cancelled, 0)::bigint,
        coalesce(counted.resolved, 0)::bigint,
        coalesce(counted.attempts, 0)::bigint,
        coalesce(counted.completed_steps, 0)::bigint,
        coalesce(counted.failed_attempts, 0)::bigint,
        (coalesce(counted.failed_attempts, 0) / counted.attempts)::double precision,
        coalesce(counted.completed, 0)::double precision / v_window,
        coalesce(counted.completed_steps, 0)::double precision / v_window,
        task.p50, task.p95, task.p99,
        run.p50, run.p95, run.p99,
        wait.p50, wait.p95, wait.p99
    from counted
    left join quantile task on task.kind = 'task'
    left join quantile run on run.kind = 'run'
    left join quantile wait on wait.kind = 'wait';
end;
$$;

comment on function get_analytics_metrics(timestamptz) is
    'Throughput, failures and durations since a time; the last hour unless given.';
