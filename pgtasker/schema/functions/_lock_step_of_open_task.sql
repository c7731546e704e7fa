-- _lock_step_of_open_task: an operator's step, locked, if its task is not over and the step is in
-- one of the states in which the operation makes sense.

create function _lock_step_of_open_task(workflow_step_id bigint, verb text, states text[])
returns workflow_steps
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
    v_step workflow_steps := _lock_step(_lock_step_of_open_task.workflow_step_id);
    v_task_state text;
begin
    select task.state
    into v_task_state
    from tasks task
    where task.task_id = v_step.task_id and task.complete;
    if v_task_state is not null or v_step.state <> all (states) then
        perform _refuse_state(
            'step',
            v_step.workflow_step_id,
            verb,
            v_step.state || coalesce(' and its task is ' || v_task_state, ''),
            array_to_string(states, ' or ') || ', and its task unfinished'
        );
    end if;
    return v_step;
end;
$$;

comment on function _lock_step_of_open_task(bigint, text, text[]) is
    'Lock a step for an operation, or refuse it.';
