-- get_critical_path: which steps made a task as long as it was? From the step that finished last
-- back, from each step to the parent that it waited for longest, to a root.
--
-- Of the time from when a step could have run to when it was over: waiting in the queue, attempts
-- at work, and the rest (backoff, pauses, schedules). Of a task that still runs: the path so far.

create function get_critical_path(task_id bigint)
returns table (
    place integer,
    workflow_step_id bigint,
    name text,
    state text,
    attempts integer,
    ready_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    wait_seconds double precision,
    run_seconds double precision,
    other_seconds double precision,
    share double precision
)
language plpgsql
stable
set search_path from current
set enable_hashjoin = off
set enable_nestloop = on
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
begin
    perform _require_task(get_critical_path.task_id);
    return query
    with recursive path (step_id, finished_at, back) as (
        (
            select step.workflow_step_id, latest.created_at, 1
            from workflow_steps step
            join workflow_step_transitions latest
                on latest.workflow_step_id = step.workflow_step_id
                and latest.sort_key = step.transition_count
            where step.task_id = get_critical_path.task_id
                and (step.processed or step.state = 'error')
            order by latest.created_at desc, step.workflow_step_id desc
            limit 1
        )
        union all
        select parent.workflow_step_id, parent.finished_at, path.back + 1
        from path
        cross join lateral (
            select step.workflow_step_id, latest.created_at as finished_at
            from workflow_step_edges edge
            join workflow_steps step on step.workflow_step_id = edge.parent_step_id
            join workflow_step_transitions latest
                on latest.workflow_step_id = step.workflow_step_id
                and latest.sort_key = step.transition_count
            where edge.child_step_id = path.step_id
            order by latest.created_at desc, step.workflow_step_id desc
            limit 1
        ) parent
    ),
    stretch as (
        select
            path.*,
            coalesce(
                lag(path.finished_at) over (order by path.back desc),
                greatest(task.created_at, task.run_at)
            ) as ready_at,
            extract(epoch from last_value(path.finished_at) over (
                order by path.back desc
                rows between unbounded preceding and unbounded following
            ) - greatest(task.created_at, task.run_at)) as total_seconds
        from path
        join tasks task on task.task_id = get_critical_path.task_id
    )
    select
        (row_number() over (order by stretch.back desc))::integer,
        step.workflow_step_id,
        named_step.name,
        step.state,
        step.attempts,
        stretch.ready_at,
        work.started_at,
        stretch.finished_at,
        work.wait_seconds,
        work.run_seconds,
        greatest(0, extract(epoch from stretch.finished_at - stretch.ready_at)::double precision
            - work.wait_seconds - work.run_seconds),
        (extract(epoch from stretch.finished_at - stretch.ready_at)
            / nullif(stretch.total_seconds, 0))::double precision
    from stretch
    join workflow_steps step on step.workflow_step_id = stretch.step_id
    join named_steps named_step on named_step.named_step_id = step.named_step_id
    cross join lateral (
        select
            min(begun.created_at) as started_at,
            coalesce(sum(extract(epoch from begun.created_at - begun.ready_at)), 0)
                ::double precision as wait_seconds,
            coalesce(sum(extract(epoch from ended.created_at - begun.created_at)), 0)
                ::double precision as run_seconds
        from workflow_step_transitions begun
        left join workflow_step_transitions ended
            on ended.workflow_step_id = begun.workflow_step_id
            and ended.sort_key = begun.sort_key + 1
        where begun.workflow_step_id = stretch.step_id and begun.to_state = 'in_progress'
    ) work
    order by stretch.back desc;
end;
$$;

comment on function get_critical_path(bigint) is
    'The steps that made a task as long as it was, first to last, and how each spent its time.';
