-- _report_outcomes: outcomes of attempts become transitions, all with one insert.
--
-- Locks every step and the children of completed ones, ascending, before it looks at claims; an
-- outcome whose claim is no longer held is lost, and the others count. Returns the lost claim_ids.

create function _report_outcomes(outcomes jsonb)
returns bigint[]
language plpgsql
volatile
set search_path from current
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    v_now timestamptz;
    v_kept bigint[];
begin
    perform _lock_steps(
        array(
            select (reported.outcome ->> 'workflow_step_id')::bigint
            from jsonb_array_elements(outcomes) as reported (outcome)
        ),
        array(
            select (reported.outcome ->> 'workflow_step_id')::bigint
            from jsonb_array_elements(outcomes) as reported (outcome)
            where reported.outcome ->> 'outcome' = 'complete'
        )
    );
    v_now := clock();
    with kept as (
        insert into workflow_step_transitions (
            workflow_step_id, created_at, runner_id, claim_id, sort_key, from_state, to_state,
            attempts, attempt_counts, due_at, backoff_request_seconds, results, error
        )
        select distinct on (step.workflow_step_id)
            step.workflow_step_id,
            v_now,
            step.runner_id,
            step.claim_id,
            step.transition_count + 1,
            step.state,
            case reported.outcome
                when 'complete' then 'complete'
                when 'fail' then 'error'
                else 'pending'
            end,
            step.attempts - case reported.outcome when 'release' then 1 else 0 end,
            reported.outcome <> 'release',
            case
                when reported.outcome = 'release' and reported.delay > 0 then
                    v_now + make_interval(secs => reported.delay)
                when reported.outcome = 'fail'
                    and coalesce(reported.retryable, true)
                    and named_step.retryable
                    and step.attempts < named_step.retry_limit
                then v_now + make_interval(
                    secs => coalesce(
                        reported.retry_after,
                        _backoff_seconds(named_step.definition, step.attempts)
                    )
                )
            end,
            case when reported.outcome = 'fail' then reported.retry_after end,
            case when reported.outcome = 'complete' then reported.results end,
            case when reported.outcome = 'fail' then reported.error end
        from jsonb_to_recordset(_report_outcomes.outcomes) as reported (
            workflow_step_id bigint,
            claim_id bigint,
            outcome text,
            results jsonb,
            error jsonb,
            retryable boolean,
            retry_after double precision,
            delay double precision
        )
        cross join lateral (
            select found.*
            from workflow_steps found
            where found.workflow_step_id = reported.workflow_step_id
            offset 0
        ) step
        cross join lateral (
            select rules as definition, rules.retryable, rules.retry_limit
            from named_steps rules
            where rules.named_step_id = step.named_step_id
            offset 0
        ) named_step
        where step.claim_id = reported.claim_id
        order by step.workflow_step_id
        returning workflow_step_transitions.claim_id
    )
    select coalesce(array_agg(kept.claim_id), '{}') into v_kept from kept;
    return array(
        select (reported.outcome ->> 'claim_id')::bigint
        from jsonb_array_elements(outcomes) as reported (outcome)
        where (reported.outcome ->> 'claim_id')::bigint <> all (v_kept)
    );
end;
$$;

comment on function _report_outcomes(jsonb) is
    'Turn checked outcomes into transitions; returns the claim_ids that were no longer held.';
