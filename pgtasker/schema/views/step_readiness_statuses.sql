-- step_readiness_statuses: could this step run now, and if not, what is missing? All tasks.

create view step_readiness_statuses as
select
    readiness.workflow_step_id,
    readiness.task_id,
    readiness.named_step_id,
    readiness.name,
    readiness.current_state,
    readiness.dependencies_satisfied,
    readiness.retry_eligible,
    readiness.ready_for_execution,
    readiness.last_failure_at,
    readiness.next_retry_at,
    readiness.total_parents,
    readiness.completed_parents,
    readiness.attempts,
    readiness.retry_limit,
    readiness.backoff_request_seconds,
    readiness.last_attempted_at
from _step_readiness readiness;

comment on view step_readiness_statuses is
    'Every step of every task: its state, its parents, its attempts, and whether it could run now.';
