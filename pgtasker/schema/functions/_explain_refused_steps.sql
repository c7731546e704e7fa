-- _explain_refused_steps: says which row of a refused statement was wrong, and why.

create function _explain_refused_steps(entered workflow_step_transitions[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan = off
as $$
declare
    v_row workflow_step_transitions;
    v_step workflow_steps;
    v_why text;
begin
    foreach v_row in array entered loop
        select step.*
        into v_step
        from workflow_steps step
        where step.workflow_step_id = v_row.workflow_step_id;
        v_why := case
            when v_step.workflow_step_id is null then 'no such step'
            when not _step_edge_is_legal(v_row.from_state, v_row.to_state) then
                format('a step cannot go from %s to %s', v_row.from_state, v_row.to_state)
            when not v_row.most_recent then 'a new transition must be the most recent one'
            when v_row.to_state = 'in_progress' and (
                v_row.claim_id is null or v_row.runner_id is null
            )
                then 'in_progress needs a runner_id and a claim_id'
            when v_row.to_state = 'pending' and v_row.attempts >= (
                select greatest(1, named_step.retry_limit)
                from named_steps named_step
                where named_step.named_step_id = v_step.named_step_id
            ) then 'no attempt is left in this round'
            when v_row.to_state = 'in_progress' and v_step.unsatisfied_parents > 0
                then 'it waits for its parents'
            when v_row.to_state = 'skipped' and not (
                select named_step.skippable
                from named_steps named_step
                where named_step.named_step_id = v_step.named_step_id
            ) then 'the step is not declared skippable'
            when v_step.transition_count >= v_row.sort_key and v_step.state = v_row.to_state
                then 'the step appears twice, or its sort_key or from_state is not what it is now'
            when v_step.state <> v_row.from_state then
                format(
                    'from_state is %s, but the step is in state %s',
                    v_row.from_state,
                    v_step.state
                )
            when v_step.transition_count <> v_row.sort_key - 1 then
                format(
                    'sort_key is %s, but the next one is %s',
                    v_row.sort_key,
                    v_step.transition_count + 1
                )
            else format(
                'attempts is %s, which does not follow from %s',
                v_row.attempts,
                v_step.attempts
            )
        end;
        if v_step.workflow_step_id is null
            or (
                v_step.state,
                v_step.transition_count
            ) is distinct from (v_row.to_state, v_row.sort_key)
        then
            exit;
        end if;
    end loop;
    perform _refuse(
        format(
            'illegal transition of step %s from %s to %s',
            coalesce(v_row.workflow_step_id::text, 'null'),
            v_row.from_state,
            coalesce(v_row.to_state, 'null')
        ),
        format('Refused because: %s.', v_why),
        'Use the functions for operators and runners; explain_step says what a step waits for.',
        'object_not_in_prerequisite_state'
    );
end;
$$;

comment on function _explain_refused_steps(workflow_step_transitions[]) is
    'Raise an error that says why transitions of steps are not legal.';
