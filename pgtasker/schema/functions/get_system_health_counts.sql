-- get_system_health_counts: the whole install in one row. What is at work is counted where it is,
-- in the index of unfinished tasks, the queue and the claims; what is over comes from the rollups.

create function get_system_health_counts()
returns table (
    calculated_at timestamptz,
    total_tasks bigint,
    pending_tasks bigint,
    in_progress_tasks bigint,
    error_tasks bigint,
    paused_tasks bigint,
    complete_tasks bigint,
    cancelled_tasks bigint,
    resolved_tasks bigint,
    ready_steps bigint,
    scheduled_steps bigint,
    in_backoff_steps bigint,
    in_progress_steps bigint,
    exhausted_steps bigint,
    complete_steps bigint,
    stalled_claims bigint,
    oldest_ready_at timestamptz,
    oldest_ready_age interval,
    live_runners integer,
    waiting_runners integer,
    lost_runners integer,
    paused_queues integer,
    connections integer,
    max_connections integer
)
language plpgsql
stable
set search_path from current
set jit = off
as $$
declare
    v_now timestamptz := clock();
begin
    return query
    with total as (
        select
            sum(found.occurrences) filter (where found.fact = 'created') as created,
            sum(found.occurrences) filter (
                where found.subject = 'task' and found.fact = 'complete'
            ) as complete,
            sum(found.occurrences) filter (
                where found.subject = 'task' and found.fact = 'cancelled'
            ) as cancelled,
            sum(found.occurrences) filter (
                where found.subject = 'task' and found.fact = 'resolved_manually'
            ) as resolved,
            sum(found.occurrences) filter (
                where found.subject = 'step' and found.fact = 'complete'
            ) as complete_steps
        from _totals() found
    ),
    active as (
        select
            count(*) filter (where task.state = 'pending') as pending,
            count(*) filter (where task.state = 'in_progress') as in_progress,
            count(*) filter (where task.state = 'error') as error,
            count(*) filter (where task.paused) as paused,
            coalesce(sum(task.failures), 0)::bigint as failures
        from tasks task
        where not task.complete
    ),
    waiting as (
        select
            count(*) filter (where queued.due_at is null or queued.due_at <= v_now) as ready,
            count(*) filter (where queued.due_at > v_now and not queued.is_retry) as scheduled,
            count(*) filter (where queued.due_at > v_now and queued.is_retry) as in_backoff,
            min(coalesce(queued.due_at, queued.enqueued_at)) filter (
                where queued.due_at is null or queued.due_at <= v_now
            ) as oldest_ready_at
        from step_queue queued
    )
    select
        v_now,
        coalesce(total.created, 0)::bigint,
        active.pending, active.in_progress, active.error, active.paused,
        coalesce(total.complete, 0)::bigint,
        coalesce(total.cancelled, 0)::bigint,
        coalesce(total.resolved, 0)::bigint,
        waiting.ready, waiting.scheduled, waiting.in_backoff, fleet.claims, active.failures,
        coalesce(total.complete_steps, 0)::bigint,
        fleet.stalled, waiting.oldest_ready_at, v_now - waiting.oldest_ready_at,
        fleet.live, fleet.waiting, fleet.lost,
        (select count(*)::integer from queues queue where queue.paused),
        (
            select count(*)::integer
            from pg_stat_activity activity
            where activity.datname = current_database()
        ),
        current_setting('max_connections')::integer
    from total
    cross join active
    cross join waiting
    cross join _runner_counts(v_now) fleet;
end;
$$;

comment on function get_system_health_counts() is
    'Tasks, steps, claims, runners and connections of the whole install, in one row.';
