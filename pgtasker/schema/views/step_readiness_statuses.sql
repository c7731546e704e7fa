-- step_readiness_statuses: could this step run now, and if not, what is missing? All tasks.
--
-- Derived from first principles: the most recent transitions and the edges, not the counters and
-- the queue that the engine keeps. check_consistency() holds one against the other.

create view step_readiness_statuses as
select
    step.workflow_step_id,
    step.task_id,
    step.named_step_id,
    named_step.name,
    current.state as current_state,
    parents.total = parents.completed as dependencies_satisfied,
    current.retry_eligible,
    not task.complete
        and not task.paused
        and (task.run_at is null or task.run_at <= clock())
        and current.state in ('pending', 'error')
        and current.retry_eligible
        and parents.total = parents.completed
        and (current.due_at is null or current.due_at <= clock()) as ready_for_execution,
    failure.created_at as last_failure_at,
    case when current.state in ('pending', 'error') then current.due_at end as next_retry_at,
    parents.total as total_parents,
    parents.completed as completed_parents,
    current.attempts,
    named_step.retry_limit,
    case
        when current.state in ('pending', 'error') then failure.backoff_request_seconds
    end as backoff_request_seconds,
    attempt.created_at as last_attempted_at
from workflow_steps step
join tasks task on task.task_id = step.task_id
join named_steps named_step on named_step.named_step_id = step.named_step_id
cross join lateral (
    select
        coalesce(latest.to_state, 'pending') as state,
        coalesce(latest.attempts, 0) as attempts,
        latest.due_at,
        case
            when latest.to_state = 'error' then latest.due_at is not null
            else coalesce(latest.attempts, 0) in (0) or latest.attempts < named_step.retry_limit
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
    where started.workflow_step_id = step.workflow_step_id and started.to_state = 'in_progress'
    order by started.sort_key desc
    limit 1
) attempt on true;

comment on view step_readiness_statuses is
    'Every step of every task: its state, its parents, its attempts, and whether it could run now.';
