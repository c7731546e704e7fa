-- skip_step: a step that its workflow declares skippable is left out; its children go on.
--
-- Locks the step and its children, then the task.

create function skip_step(
    workflow_step_id bigint,
    reason text default null,
    actor text default null
)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan = off
as $$
declare
    v_step workflow_steps := _lock_step_of_open_task(
        skip_step.workflow_step_id,
        'skip',
        '{pending}'
    );
    v_name text;
begin
    select named_step.name
    into v_name
    from named_steps named_step
    where named_step.named_step_id = v_step.named_step_id and not named_step.skippable;
    if v_name is not null then
        perform _refuse(
            format('step %s (%s) is not skippable', v_step.workflow_step_id, v_name),
            'Only a step that its workflow declares skippable can be skipped.',
            'Use resolve_step to settle it by hand.',
            'object_not_in_prerequisite_state'
        );
    end if;
    insert into workflow_step_transitions (workflow_step_id, to_state, actor, reason)
    values (skip_step.workflow_step_id, 'skipped', skip_step.actor, skip_step.reason);
end;
$$;

comment on function skip_step(bigint, text, text) is
    'Skip a step that is declared skippable.';
