-- _expire_attempts: fails attempts that ran past their timeout and a margin, in which the runner
-- should have ended them itself. A timeout is a failure like any other.

create function _expire_attempts()
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_overdue jsonb;
    v_step_ids bigint[];
begin
    select
        jsonb_agg(
            jsonb_build_object(
                'workflow_step_id', overdue.workflow_step_id,
                'claim_id', overdue.claim_id,
                'outcome', 'fail',
                'error', jsonb_build_object(
                    'type', 'Timeout',
                    'message', format(
                        'the attempt was still running at %s, past its timeout',
                        overdue.timeout_at
                    )
                )
            )
        ),
        array_agg(overdue.workflow_step_id)
    into v_overdue, v_step_ids
    from (
        select claim.workflow_step_id, claim.claim_id, claim.timeout_at
        from step_claims claim
        join workflow_steps step on step.workflow_step_id = claim.workflow_step_id
        where claim.timeout_at <= clock() and step.claim_id = claim.claim_id
        order by claim.workflow_step_id
        limit 1000
        for update of step skip locked
    ) overdue;
    if v_overdue is not null then
        perform _report_outcomes(v_overdue, v_step_ids, null);
    end if;
end;
$$;

comment on function _expire_attempts() is
    'Fail attempts that ran past their timeout.';
