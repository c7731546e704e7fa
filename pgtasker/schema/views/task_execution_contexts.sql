-- task_execution_contexts: how does a task stand as a whole, and what does it wait for? All tasks.

create view task_execution_contexts as
select
    task.task_id,
    task.named_task_id,
    task.state as status,
    steps.total_steps,
    steps.pending_steps,
    steps.in_progress_steps,
    steps.completed_steps,
    steps.failed_steps,
    steps.ready_steps,
    verdict.execution_status,
    case verdict.execution_status
        when 'blocked_by_failures' then 'handle_failures'
        when 'has_ready_steps' then 'execute_ready_steps'
        when 'processing' then 'wait_for_completion'
        when 'all_complete' then 'finalize_task'
        else 'wait_for_dependencies'
    end as recommended_action,
    round(100.0 * steps.completed_steps / nullif(steps.total_steps, 0), 2) as completion_percentage,
    case
        when verdict.execution_status = 'blocked_by_failures' then 'blocked'
        when steps.failed_steps = 0 and steps.blocking_steps = 0 then 'healthy'
        when steps.ready_steps > 0 or steps.in_progress_steps > 0 or steps.retrying_steps > 0
            then 'recovering'
        else 'unknown'
    end as health_status,
    case
        when task.complete then null
        when task.paused then 'paused'
        when task.run_at > clock() then 'scheduled'
        when steps.ready_steps > 0 then 'runner'
        when verdict.execution_status = 'blocked_by_failures' then null
        when steps.in_progress_steps > 0 and steps.pending_steps = 0 then null
        when steps.in_progress_steps > 0 then 'dependencies'
        when steps.retrying_steps > 0 then 'backoff'
        when steps.pending_steps > 0 then 'dependencies'
    end as waiting_reason
from tasks task
cross join lateral (
    select
        count(*)::integer as total_steps,
        (count(*) filter (where step.current_state = 'pending'))::integer as pending_steps,
        (count(*) filter (where step.current_state = 'in_progress'))::integer as in_progress_steps,
        (
            count(*) filter (
                where step.current_state in ('complete', 'resolved_manually', 'skipped')
            )
        )::integer as completed_steps,
        (count(*) filter (where step.current_state = 'error'))::integer as failed_steps,
        (count(*) filter (where step.ready_for_execution))::integer as ready_steps,
        count(*) filter (
            where step.current_state = 'cancelled'
                or (step.current_state = 'error' and not step.retry_eligible)
        ) as blocking_steps,
        count(*) filter (
            where step.dependencies_satisfied
                and step.retry_eligible
                and step.current_state in ('pending', 'error')
                and step.next_retry_at is not null
        ) as retrying_steps,
        count(*) filter (
            where step.current_state = 'in_progress'
                or (
                    step.dependencies_satisfied
                    and step.retry_eligible
                    and step.current_state in ('pending', 'error')
                )
        ) as live_steps,
        count(*) filter (
            where step.current_state in ('pending', 'in_progress', 'error')
        ) as open_steps
    from step_readiness_statuses step
    where step.task_id = task.task_id
) steps
cross join lateral (
    select case
        when steps.blocking_steps > 0 and steps.open_steps > 0 and steps.live_steps = 0
            then 'blocked_by_failures'
        when steps.ready_steps > 0 then 'has_ready_steps'
        when steps.in_progress_steps > 0 then 'processing'
        when steps.open_steps = 0 then 'all_complete'
        else 'waiting_for_dependencies'
    end as execution_status
) verdict;

comment on view task_execution_contexts is
    'Every task: how its steps stand, what that means, and what it waits for.';
