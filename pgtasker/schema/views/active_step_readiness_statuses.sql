-- active_step_readiness_statuses: the same for the steps of tasks that are not over.
--
-- In three parts, each found by its own way: what is in the queue, of which alone something can be
-- ready; the other steps of tasks at work; those of tasks with a failure, last, so that a limit is
-- reached before them. Unfinished tasks alone are read: they come in the order of their index,
-- so that nothing else finds them; see _readiness_of_tasks for `any (array[...])`.

create view active_step_readiness_statuses as
select
    step.workflow_step_id,
    step.task_id,
    step.named_step_id,
    step.name,
    step.current_state,
    step.dependencies_satisfied,
    step.retry_eligible,
    (waiting.due_at is null or waiting.due_at <= (select clock())) as ready_for_execution,
    step.last_failure_at,
    step.next_retry_at,
    step.total_parents,
    step.completed_parents,
    step.attempts,
    step.retry_limit,
    step.backoff_request_seconds,
    step.last_attempted_at
from step_queue waiting
join _step_readiness step
    on step.workflow_step_id = any (array[waiting.workflow_step_id])
    and waiting.workflow_step_id = any (array[step.workflow_step_id])
union all
select
    step.workflow_step_id,
    task.task_id,
    step.named_step_id,
    step.name,
    step.current_state,
    step.dependencies_satisfied,
    step.retry_eligible,
    false as ready_for_execution,
    step.last_failure_at,
    step.next_retry_at,
    step.total_parents,
    step.completed_parents,
    step.attempts,
    step.retry_limit,
    step.backoff_request_seconds,
    step.last_attempted_at
from (
    select task.task_id, task.paused
    from tasks task
    where not task.complete and task.failures = 0
    order by task.failures, task.task_id
) task
join _step_readiness step on step.task_id = any (array[task.task_id])
where task.paused or not step.can_run
union all
select
    step.workflow_step_id,
    task.task_id,
    step.named_step_id,
    step.name,
    step.current_state,
    step.dependencies_satisfied,
    step.retry_eligible,
    false as ready_for_execution,
    step.last_failure_at,
    step.next_retry_at,
    step.total_parents,
    step.completed_parents,
    step.attempts,
    step.retry_limit,
    step.backoff_request_seconds,
    step.last_attempted_at
from (
    select task.task_id, task.paused
    from tasks task
    where not task.complete and task.failures > 0
    order by task.failures, task.task_id
) task
join _step_readiness step on step.task_id = any (array[task.task_id])
where task.paused or not step.can_run;

comment on view active_step_readiness_statuses is
    'Steps of unfinished tasks: state, parents, attempts, and whether each could run now.';
