-- _refuse_lost_claim: TK001, and what became of the step.

create function _refuse_lost_claim(workflow_step_id bigint, claim_id bigint)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan = off
as $$
declare
    v_state text := (
        select step.state
        from workflow_steps step
        where step.workflow_step_id = _refuse_lost_claim.workflow_step_id
    );
begin
    if v_state is null then
        perform _refuse_unknown('step', _refuse_lost_claim.workflow_step_id);
    end if;
    perform _refuse(
        format(
            'claim %s of step %s is lost',
            _refuse_lost_claim.claim_id,
            _refuse_lost_claim.workflow_step_id
        ),
        format('The step is now in state %s, and not under this claim.', v_state),
        'Discard the result: the attempt was ended, or the step was given to another runner.',
        'TK001'
    );
end;
$$;

comment on function _refuse_lost_claim(bigint, bigint) is
    'Refuse a claim that is no longer held.';
