-- step_readiness_statuses: could this step run now, and if not, what is missing? All tasks.
--
-- A filter on ready_for_execution makes step_queue the first table to be read.

create view step_readiness_statuses as
select
    step.workflow_step_id,
    step.task_id,
    step.named_step_id,
    step.name,
    step.current_state,
    step.dependencies_satisfied,
    step.retry_eligible,
    waiting.workflow_step_id is not null
        and (waiting.due_at is null or waiting.due_at <= (select clock())) as ready_for_execution,
    step.last_failure_at,
    step.next_retry_at,
    step.total_parents,
    step.completed_parents,
    step.attempts,
    step.retry_limit,
    step.backoff_request_seconds,
    step.last_attempted_at
from _step_readiness step
left join step_queue waiting on waiting.workflow_step_id = step.workflow_step_id;

comment on view step_readiness_statuses is
    'Every step of every task: its state, its parents, its attempts, and whether it could run now.';
