-- active_task_execution_contexts: the same for tasks that are not over.

create view active_task_execution_contexts as
select context.*
from tasks active
join task_execution_contexts context on context.task_id = active.task_id
where not active.complete;

comment on view active_task_execution_contexts is
    'Unfinished tasks: how their steps stand, what that means, and what they wait for.';
