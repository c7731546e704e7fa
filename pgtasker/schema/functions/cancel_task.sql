-- cancel_task: ends a task and every step of it that is not over; running attempts lose their
-- claims.
--
-- Locks all steps of the task, then the task.

create function cancel_task(task_id bigint, reason text default null, actor text default null)
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_task tasks := _lock_task(cancel_task.task_id);
begin
    if v_task.complete then
        perform _refuse_state(
            'task',
            v_task.task_id,
            'cancel',
            _task_condition(v_task),
            'pending, in_progress or error'
        );
    end if;
    insert into task_transitions (task_id, to_state, actor, reason)
    values (cancel_task.task_id, 'cancelled', cancel_task.actor, cancel_task.reason);
end;
$$;

comment on function cancel_task(bigint, text, text) is
    'Cancel a task and its unfinished steps.';
