-- task_execution_contexts: how does a task stand as a whole, and what does it wait for? All tasks.

create view task_execution_contexts as
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
from _task_execution context;

comment on view task_execution_contexts is
    'Every task: how its steps stand, what that means, and what it waits for.';
