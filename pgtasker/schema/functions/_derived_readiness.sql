-- _derived_readiness: readiness of unfinished tasks from first principles: the most recent
-- transitions and the edges, not the columns, counters and queue rows that the engine keeps.
--
-- What the views say is held against this by check_consistency().

create function _derived_readiness()
returns setof step_readiness_statuses
language plpgsql
stable
set search_path from current
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
    return query
    select
        step.workflow_step_id,
        step.task_id,
        step.named_step_id,
        named_step.name,
        current.state,
        parents.total = parents.completed,
        current.retry_eligible,
        not task.paused
            and (task.run_at is null or task.run_at <= clock())
            and current.state in ('pending', 'error')
            and current.retry_eligible
            and parents.total = parents.completed
            and (current.due_at is null or current.due_at <= clock()),
        failure.created_at,
        case when current.state in ('pending', 'error') then current.due_at end,
        parents.total,
        parents.completed,
        current.attempts,
        named_step.retry_limit,
        case when current.state in ('pending', 'error') then failure.backoff_request_seconds end,
        attempt.created_at
    from tasks task
    join workflow_steps step on step.task_id = task.task_id
    join named_steps named_step on named_step.named_step_id = step.named_step_id
    cross join lateral (
        select
            coalesce(latest.to_state, 'pending') as state,
            coalesce(latest.attempts, 0) as attempts,
            latest.due_at,
            case
                when latest.to_state = 'error' then latest.due_at is not null
                else coalesce(latest.attempts, 0) in (0)
                    or latest.attempts < named_step.retry_limit
            end as retry_eligible
        from (select) as one
        left join workflow_step_transitions latest
            on latest.workflow_step_id = step.workflow_step_id and latest.most_recent
    ) current
    cross join lateral (
        select
            count(*)::integer as total,
            (
                count(*) filter (
                    where finish.to_state in ('complete', 'resolved_manually', 'skipped')
                )
            )::integer as completed
        from workflow_step_edges edge
        left join workflow_step_transitions finish
            on finish.workflow_step_id = edge.parent_step_id and finish.most_recent
        where edge.child_step_id = step.workflow_step_id
    ) parents
    left join lateral (
        select failed.created_at, failed.backoff_request_seconds
        from workflow_step_transitions failed
        where failed.workflow_step_id = step.workflow_step_id and failed.to_state = 'error'
        order by failed.sort_key desc
        limit 1
    ) failure on true
    left join lateral (
        select started.created_at
        from workflow_step_transitions started
        where started.workflow_step_id = step.workflow_step_id
            and started.to_state = 'in_progress'
        order by started.sort_key desc
        limit 1
    ) attempt on true
    where not task.complete;
end;
$$;

comment on function _derived_readiness() is
    'Readiness of unfinished tasks as the log and the edges have it.';
