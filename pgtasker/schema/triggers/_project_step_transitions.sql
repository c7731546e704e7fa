-- _project_step_transitions: the log rules. New transitions become the state of their steps, or the
-- statement is refused: an illegal edge, a step twice, an unknown step, a forged from_state,
-- sort_key or count of attempts all fail to match the row that they must follow.

create function _project_step_transitions()
returns trigger
language plpgsql
volatile
set search_path from current
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    v_entered bigint;
    v_projected bigint;
    v_runners bigint[];
    v_claims bigint[];
begin
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
    from (
        select given.*, place.ctid as place
        from entered given
        cross join lateral (
            select found.ctid
            from workflow_steps found
            where found.workflow_step_id = given.workflow_step_id
            offset 0
        ) place
    ) entered
    where step.ctid = entered.place
        and step.state = entered.from_state
        and step.transition_count = entered.sort_key - 1
        and entered.most_recent
        and _step_edge_is_legal(entered.from_state, entered.to_state)
        and entered.attempts = _attempts_after(
            step.attempts, entered.from_state, entered.to_state, entered.attempt_counts
        )
        and case entered.to_state
            when 'in_progress' then
                step.unsatisfied_parents = 0
                and entered.claim_id is not null
                and entered.runner_id is not null
            when 'skipped' then (
                select named_step.skippable
                from named_steps named_step
                where named_step.named_step_id = step.named_step_id
            )
            when 'pending' then entered.attempts = 0 or entered.attempts < (
                select named_step.retry_limit
                from named_steps named_step
                where named_step.named_step_id = step.named_step_id
            )
            else true
        end;
    get diagnostics v_projected = row_count;
    select count(*) into v_entered from entered;
    if v_projected <> v_entered then
        perform _explain_refused_steps(
            array(select entered::workflow_step_transitions from entered)
        );
    end if;

    with passed as (
        update workflow_step_transitions log
        set most_recent = false
        from (
            select found.ctid as place
            from entered given
            cross join lateral (
                select earlier.ctid
                from workflow_step_transitions earlier
                where earlier.workflow_step_id = given.workflow_step_id
                    and earlier.sort_key = given.sort_key - 1
                offset 0
            ) found
            where given.sort_key > 1
        ) previous
        where log.ctid = previous.place
        returning log.to_state, log.runner_id, log.claim_id
    )
    select array_agg(distinct passed.runner_id), array_agg(passed.claim_id)
    into v_runners, v_claims
    from passed
    where passed.to_state = 'in_progress';
    delete from step_claims held
    where held.runner_id = any (v_runners) and held.claim_id = any (v_claims);
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
    'The log is guarded here and projected onto workflow_steps.';
