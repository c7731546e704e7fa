-- active_step_readiness_statuses: the same for the steps of tasks that are not over.
--
-- Incomplete tasks first, by their partial index: the cost follows the active work, not the
-- history. Tasks with a failure come last, so that however many wait for attention, a limit is
-- reached among those at work.

create view active_step_readiness_statuses as
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
from _step_readiness readiness
where not readiness.complete and readiness.failures = 0
union all
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
from _step_readiness readiness
where not readiness.complete and readiness.failures > 0;

comment on view active_step_readiness_statuses is
    'Steps of unfinished tasks: state, parents, attempts, and whether each could run now.';
