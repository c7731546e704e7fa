-- recent_step_readiness_statuses: the same for the steps of tasks of the last days, over or not.

create view recent_step_readiness_statuses as
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
where readiness.created_at >= (
    select clock() - make_interval(days => least(setting.value::integer, 36500))
    from settings setting
    where setting.name = 'recent_days'
);

comment on view recent_step_readiness_statuses is
    'Steps of tasks that were created in the last days, as many as the setting recent_days says.';
