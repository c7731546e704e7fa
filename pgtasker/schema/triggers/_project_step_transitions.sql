-- _project_step_transitions: the log rules. New transitions become the state of their steps, or the
-- statement is refused: an illegal edge, a step twice, an unknown step, a forged from_state,
-- sort_key or count of attempts all fail to match the row that they must follow. What follows from
-- them is gathered in the same pass: a batch of a hundred outcomes is a handful of statements.

create function _project_step_transitions()
returns trigger
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = on
set enable_nestloop = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    v_changes _step_changes;
    v_freed integer;
begin
    with projected as (
        update workflow_steps step
        set
            state = entered.to_state,
            transition_count = entered.sort_key,
            attempts = entered.attempts,
            due_at = entered.due_at,
            last_attempted_at = case entered.to_state
                when 'in_progress' then entered.created_at else step.last_attempted_at end,
            last_failure_at = case entered.to_state
                when 'error' then entered.created_at else step.last_failure_at end,
            claim_id = case when entered.to_state = 'in_progress' then entered.claim_id end,
            runner_id = case when entered.to_state = 'in_progress' then entered.runner_id end
        from entered
        where step.workflow_step_id = any (array(select entered.workflow_step_id from entered))
            and step.workflow_step_id + 0 = entered.workflow_step_id
            and step.state = entered.from_state
            and step.transition_count = entered.sort_key - 1 and entered.most_recent
            and _step_edge_is_legal(entered.from_state, entered.to_state)
            and entered.attempts = _attempts_after(
                step.attempts, entered.from_state, entered.to_state, entered.attempt_counts
            )
            and case entered.to_state
                when 'in_progress' then step.unsatisfied_parents = 0
                    and entered.claim_id is not null and entered.runner_id is not null
                when 'skipped' then (
                    select named_step.skippable from named_steps named_step
                    where named_step.named_step_id = step.named_step_id
                )
                when 'pending' then entered.attempts = 0 or entered.attempts < (
                    select named_step.retry_limit from named_steps named_step
                    where named_step.named_step_id = step.named_step_id
                )
                else true
            end
        returning
            step.workflow_step_id, step.task_id, step.due_at,
            step.processed or (step.state = 'error' and step.due_at is null) as is_end,
            entered.from_state, entered.to_state, entered.attempt_counts
    )
    select
        (select count(*) from entered) - count(*),
        array_agg(workflow_step_id) filter (where from_state <> 'in_progress'),
        array_agg(task_id) filter (where to_state = 'in_progress'),
        array_agg(workflow_step_id) filter (where _step_satisfies_children(to_state)),
        array_agg(workflow_step_id) filter (where to_state = 'pending'
            or (to_state = 'error' and due_at is not null)),
        array_agg(workflow_step_id) filter (where 'error' in (from_state, to_state)
            or to_state = 'cancelled'),
        array_agg(task_id) filter (where from_state = 'in_progress' and is_end),
        array_agg(task_id) filter (where from_state <> 'in_progress'
            and (is_end or (from_state = 'error' and not attempt_counts)))
    into v_changes
    from projected;
    if v_changes.refused > 0 then
        perform _explain_refused_steps(
            array(select entered::workflow_step_transitions from entered)
        );
    end if;

    v_freed := _follow_step_changes(v_changes);
    return null;
end;
$$;

comment on function _project_step_transitions() is
    'Makes new transitions of steps the state of the steps, or refuses them.';

create trigger b_project
after insert on workflow_step_transitions
referencing new table as entered
for each statement
execute function _project_step_transitions();

comment on trigger b_project on workflow_step_transitions is
    'The log is guarded here and projected onto workflow_steps, and what follows is done.';
