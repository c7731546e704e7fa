-- pause_task: no further step of the task starts; what runs may finish.
--
-- Locks all steps of the task, then the task.

create function pause_task(task_id bigint, reason text default null, actor text default null)
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_task tasks := _lock_task(pause_task.task_id);
begin
    if v_task.complete or v_task.paused then
        perform _refuse_state(
            'task',
            v_task.task_id,
            'pause',
            _task_condition(v_task),
            'unfinished and not paused'
        );
    end if;
    insert into task_transitions (task_id, to_state, actor, reason)
    values (pause_task.task_id, v_task.state, pause_task.actor, pause_task.reason);
end;
$$;

comment on function pause_task(bigint, text, text) is
    'Pause a task: nothing new starts until it is resumed.';
