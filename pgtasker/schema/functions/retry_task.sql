-- retry_task: every failed step of the task starts a new round of attempts, now.
--
-- What failed because of the context fails again unless that fits by now. Locks all steps of the
-- task, then the task.

create function retry_task(task_id bigint, reason text default null, actor text default null)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan = off
as $$
declare
    v_task tasks := _lock_task(retry_task.task_id);
begin
    if v_task.state = 'error' then
        insert into task_transitions (task_id, to_state, actor, reason)
        values (retry_task.task_id, 'pending', retry_task.actor, retry_task.reason);
    else
        insert into workflow_step_transitions (workflow_step_id, to_state, actor, reason)
        select step.workflow_step_id, 'pending', retry_task.actor, retry_task.reason
        from workflow_steps step
        where step.task_id = retry_task.task_id
            and step.state = 'error'
            and step.due_at is null
            and not v_task.complete
        order by step.workflow_step_id;
        if not found then
            perform _refuse_state(
                'task', v_task.task_id, 'retry',
                _task_condition(v_task) || ', without a failed step',
                'unfinished, with a step that failed for good'
            );
        end if;
    end if;
    perform _check_context_again(v_task.task_id);
end;
$$;

comment on function retry_task(bigint, text, text) is
    'Retry the failed steps of a task in a new round of attempts.';
