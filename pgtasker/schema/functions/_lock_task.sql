-- _lock_task: what a whole-task operation locks: all steps of the task ascending, then the task.
--
-- Under repeatable read whoever waited for a lock goes on with its old snapshot, unless the row was
-- written: then it is told to try again. So there the steps are written as they are.

create function _lock_task(task_id bigint)
returns tasks
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
    v_task tasks;
begin
    perform _require('task_id', _lock_task.task_id is not null);
    perform
    from workflow_steps step
    where step.task_id = _lock_task.task_id
    order by step.workflow_step_id
    for update;
    if current_setting('transaction_isolation') = 'repeatable read' then
        update workflow_steps step
        set due_at = step.due_at
        where step.task_id = _lock_task.task_id;
    end if;
    select task.*
    into v_task
    from tasks task
    where task.task_id = _lock_task.task_id
    for update;
    if v_task.task_id is null then
        perform _refuse_unknown('task', _lock_task.task_id);
    end if;
    return v_task;
end;
$$;

comment on function _lock_task(bigint) is
    'Lock a task with all its steps, in the documented order.';
