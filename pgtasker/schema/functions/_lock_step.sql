-- _lock_step: what an operation on one step locks: the step and its children.

create function _lock_step(workflow_step_id bigint)
returns workflow_steps
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
    v_step workflow_steps;
begin
    perform _require('workflow_step_id', _lock_step.workflow_step_id is not null);
    perform _lock_steps(array[_lock_step.workflow_step_id], array[_lock_step.workflow_step_id]);
    select step.*
    into v_step
    from workflow_steps step
    where step.workflow_step_id = _lock_step.workflow_step_id;
    if v_step.workflow_step_id is null then
        perform _refuse_unknown('step', _lock_step.workflow_step_id);
    end if;
    return v_step;
end;
$$;

comment on function _lock_step(bigint) is
    'Lock a step and its children, in the documented order.';
