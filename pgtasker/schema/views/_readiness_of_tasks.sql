-- _readiness_of_tasks: the readiness of steps from their tasks on, for who chooses tasks first.
--
-- The steps of a task are found through `= any (array[...])`: an index serves it, task by task. A
-- plain equality could be served by hashing the steps of all history, too, and planners do that.

create view _readiness_of_tasks as
select
    step.workflow_step_id,
    task.task_id,
    step.named_step_id,
    step.name,
    step.current_state,
    step.dependencies_satisfied,
    step.retry_eligible,
    step.can_run
        and not task.complete
        and not task.paused
        and (step.next_retry_at is null or step.next_retry_at <= (select clock()))
        and (task.run_at is null or task.run_at <= (select clock())) as ready_for_execution,
    step.last_failure_at,
    step.next_retry_at,
    step.total_parents,
    step.completed_parents,
    step.attempts,
    step.retry_limit,
    step.backoff_request_seconds,
    step.last_attempted_at,
    task.created_at
from tasks task
join _step_readiness step on step.task_id = any (array[task.task_id]);

comment on view _readiness_of_tasks is
    'The steps of tasks: state, parents, attempts, and whether each could run now.';
