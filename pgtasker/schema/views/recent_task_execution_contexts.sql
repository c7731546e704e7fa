-- recent_task_execution_contexts: the same for tasks of the last days, over or not.
--
-- The second bound is always true: it tells the planner that the window is a small one.

create view recent_task_execution_contexts as
select
    context.task_id,
    context.named_task_id,
    context.status,
    context.total_steps,
    context.pending_steps,
    context.in_progress_steps,
    context.completed_steps,
    context.failed_steps,
    context.ready_steps,
    context.execution_status,
    context.recommended_action,
    context.completion_percentage,
    context.health_status,
    context.waiting_reason
from _task_execution context
where context.created_at >= (
    select clock() - make_interval(days => least(setting.value::integer, 36500))
    from settings setting
    where setting.name = 'recent_days'
)
    and context.created_at <= (select timestamptz 'infinity');

comment on view recent_task_execution_contexts is
    'Tasks that were created in the last days, as many as the setting recent_days says.';
