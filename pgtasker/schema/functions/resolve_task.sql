-- resolve_task: a person settled what a failed task was for; its steps stay as they are.
--
-- Locks all steps of the task, then the task.

create function resolve_task(task_id bigint, reason text default null, actor text default null)
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_task tasks := _lock_task(resolve_task.task_id);
begin
    if v_task.state <> 'error' then
        perform _refuse_state(
            'task',
            v_task.task_id,
            'resolve',
            _task_condition(v_task),
            'in error'
        );
    end if;
    insert into task_transitions (task_id, to_state, actor, reason)
    values (resolve_task.task_id, 'resolved_manually', resolve_task.actor, resolve_task.reason);
end;
$$;

comment on function resolve_task(bigint, text, text) is
    'Declare a failed task settled by hand.';
