-- _fill_step_transition: a transition typed by hand names the step and its new state; the rest is
-- filled in here, under the same locks that the engine takes. The engine's own rows come complete
-- and do not fire this trigger.

create function _fill_step_transition()
returns trigger
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
    v_step workflow_steps;
begin
    perform _lock_steps(array[new.workflow_step_id], array[new.workflow_step_id]);
    select step.*
    into v_step
    from workflow_steps step
    where step.workflow_step_id = new.workflow_step_id;
    if v_step.workflow_step_id is null then
        perform _refuse_unknown('step', new.workflow_step_id);
    end if;
    new.from_state := coalesce(new.from_state, v_step.state);
    new.sort_key := coalesce(new.sort_key, v_step.transition_count + 1);
    if new.to_state = 'pending' and new.attempts is null then
        new.attempt_counts := false;
    end if;
    new.attempts := coalesce(
        new.attempts,
        _attempts_after(v_step.attempts, new.from_state, new.to_state, new.attempt_counts)
    );
    if new.to_state = 'in_progress' and new.runner_id is not null then
        new.claim_id := coalesce(new.claim_id, nextval('claim_id'));
    end if;
    if new.actor is null and new.runner_id is null then
        new.actor := session_user;
    end if;
    if exists (
        select
        from workflow_step_transitions taken
        where taken.workflow_step_id = new.workflow_step_id and taken.sort_key = new.sort_key
    ) then
        perform _explain_refused_steps(array[new]);
    end if;
    return new;
end;
$$;

comment on function _fill_step_transition() is
    'Completes a transition of a step that was typed by hand.';

create trigger a_fill
before insert on workflow_step_transitions
for each row
when (new.sort_key is null or new.from_state is null or new.attempts is null)
execute function _fill_step_transition();

comment on trigger a_fill on workflow_step_transitions is
    'A transition typed by hand is completed under the locks that the engine takes.';
