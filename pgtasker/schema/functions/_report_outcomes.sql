-- _report_outcomes: outcomes of attempts become transitions, all with one insert.
--
-- Locks every step and the children of completed ones, ascending, before it looks at claims; an
-- outcome whose claim is no longer held is lost, and the others count. Returns the lost claim_ids.

create function _report_outcomes(outcomes jsonb, step_ids bigint[], completed_ids bigint[])
returns bigint[]
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
    v_now timestamptz;
    v_kept bigint[];
    v_locked integer := _lock_steps(step_ids, completed_ids);
begin
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
            case reported.outcome
                when 'release' then v_now + make_interval(secs => nullif(reported.delay, 0))
                when 'fail' then (
                    select v_now + make_interval(
                        secs => coalesce(
                            reported.retry_after,
                            _backoff_seconds(named_step, step.attempts)
                        )
                    )
                    from named_steps named_step
                    where named_step.named_step_id = step.named_step_id
                        and coalesce(reported.retryable, true)
                        and named_step.retryable
                        and step.attempts < named_step.retry_limit
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
        join workflow_steps step
            on step.workflow_step_id = any (_report_outcomes.step_ids)
            and step.workflow_step_id + 0 = reported.workflow_step_id
            and step.claim_id = reported.claim_id
        order by step.workflow_step_id
        returning workflow_step_transitions.claim_id
    )
    select coalesce(array_agg(kept.claim_id), '{}') into v_kept from kept;
    if cardinality(v_kept) = cardinality(step_ids) then
        return '{}'::bigint[];
    end if;
    return array(
        select (reported.outcome ->> 'claim_id')::bigint
        from jsonb_array_elements(outcomes) as reported (outcome)
        where (reported.outcome ->> 'claim_id')::bigint <> all (v_kept)
    );
end;
$$;

comment on function _report_outcomes(jsonb, bigint[], bigint[]) is
    'Turn checked outcomes into transitions; returns the claim_ids that were no longer held.';
