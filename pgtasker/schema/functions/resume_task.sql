-- resume_task: steps of a paused task may start again.
--
-- Locks all steps of the task, then the task.

create function resume_task(task_id bigint, reason text default null, actor text default null)
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_task tasks := _lock_task(resume_task.task_id);
begin
    if not v_task.paused then
        perform _refuse_state('task', v_task.task_id, 'resume', _task_condition(v_task), 'paused');
    end if;
    insert into task_transitions (task_id, to_state, actor, reason)
    values (resume_task.task_id, v_task.state, resume_task.actor, resume_task.reason);
end;
$$;

comment on function resume_task(bigint, text, text) is
    'Resume a paused task.';
