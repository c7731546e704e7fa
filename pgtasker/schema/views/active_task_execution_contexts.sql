-- active_task_execution_contexts: the same for tasks that are not over.
--
-- Tasks with a failure come last, so that however many wait for attention, a limit is reached among
-- those at work.

create view active_task_execution_contexts as
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
where not context.complete and context.failures = 0
union all
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
where not context.complete and context.failures > 0;

comment on view active_task_execution_contexts is
    'Unfinished tasks: how their steps stand, what that means, and what they wait for.';
