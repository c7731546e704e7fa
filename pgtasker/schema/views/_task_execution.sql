-- _task_execution: how each task stands as a whole, with what the tiers select by.
--
-- One look at the steps of a task, and none where no column of it is asked for.

create view _task_execution as
select
    task.task_id,
    task.named_task_id,
    task.state as status,
    steps.total_steps,
    steps.pending_steps,
    steps.in_progress_steps,
    steps.completed_steps,
    steps.failed_steps,
    verdict.ready_steps,
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
        when verdict.ready_steps > 0 or steps.in_progress_steps > 0 or steps.retrying_steps > 0
            then 'recovering'
        else 'unknown'
    end as health_status,
    case
        when task.complete then null
        when task.paused then 'paused'
        when task.run_at > (select clock()) then 'scheduled'
        when verdict.ready_steps > 0 then 'runner'
        when verdict.execution_status = 'blocked_by_failures' then null
        when steps.in_progress_steps > 0 and steps.pending_steps = 0 then null
        when steps.in_progress_steps > 0 then 'dependencies'
        when steps.retrying_steps > 0 then 'backoff'
        when steps.pending_steps > 0 then 'dependencies'
    end as waiting_reason,
    task.complete,
    task.failures,
    task.paused,
    task.run_at,
    task.created_at
from tasks task
left join lateral (
    select
        count(*)::integer as total_steps,
        (count(*) filter (where step.state = 'pending'))::integer as pending_steps,
        (count(*) filter (where step.state = 'in_progress'))::integer as in_progress_steps,
        (
            count(*) filter (where step.state in ('complete', 'resolved_manually', 'skipped'))
        )::integer as completed_steps,
        (count(*) filter (where step.state = 'error'))::integer as failed_steps,
        (
            count(*) filter (
                where (step.state = 'pending' and step.due_at is null
                    or step.state in ('pending', 'error') and step.due_at <= (select clock()))
                    and step.unsatisfied_parents = 0
            )
        )::integer as due_steps,
        count(*) filter (
            where step.state = 'cancelled' or (step.state = 'error' and step.due_at is null)
        ) as blocking_steps,
        count(*) filter (
            where step.state in ('pending', 'error')
                and step.due_at is not null
                and step.unsatisfied_parents = 0
        ) as retrying_steps,
        count(*) filter (
            where step.state = 'in_progress'
                or (step.state = 'pending' and step.unsatisfied_parents = 0)
                or (step.state = 'error' and step.due_at is not null)
        ) as live_steps
    from workflow_steps step
    where step.task_id = task.task_id
) steps on true
cross join lateral (
    select
        case
            when task.complete or task.paused or task.run_at > (select clock()) then 0
            else steps.due_steps
        end as ready_steps
) open
cross join lateral (
    select
        open.ready_steps,
        case
            when steps.blocking_steps > 0
                and steps.live_steps = 0
                and steps.pending_steps + steps.failed_steps > 0
                then 'blocked_by_failures'
            when open.ready_steps > 0 then 'has_ready_steps'
            when steps.in_progress_steps > 0 then 'processing'
            when steps.pending_steps + steps.failed_steps = 0 then 'all_complete'
            else 'waiting_for_dependencies'
        end as execution_status
) verdict;

comment on view _task_execution is
    'Every task: how its steps stand, what that means, and what it waits for.';
