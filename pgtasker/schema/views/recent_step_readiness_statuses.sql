-- recent_step_readiness_statuses: the same for the steps of tasks of the last days, over or not.
--
-- The second bound is always true: it tells the planner that the window is a small one.

create view recent_step_readiness_statuses as
select
    recent.workflow_step_id,
    recent.task_id,
    recent.named_step_id,
    recent.name,
    recent.current_state,
    recent.dependencies_satisfied,
    recent.retry_eligible,
    recent.ready_for_execution,
    recent.last_failure_at,
    recent.next_retry_at,
    recent.total_parents,
    recent.completed_parents,
    recent.attempts,
    recent.retry_limit,
    recent.backoff_request_seconds,
    recent.last_attempted_at
from _readiness_of_tasks recent
where recent.created_at >= (
    select clock() - make_interval(days => least(setting.value::integer, 36500))
    from settings setting
    where setting.name = 'recent_days'
)
    and recent.created_at <= (select timestamptz 'infinity');

comment on view recent_step_readiness_statuses is
    'Steps of tasks that were created in the last days, as many as the setting recent_days says.';
