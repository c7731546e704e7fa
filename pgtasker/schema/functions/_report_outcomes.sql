-- _report_outcomes: outcomes of attempts become transitions, and with the same insert attempts
-- start of the steps that the runner goes on with (kept, see _keep_freed) and took from the queue.
--
-- The caller has the steps locked, and the children of completed ones: an outcome whose claim is no
-- longer held is lost, and the others count; none is there twice, see _distinct_outcomes. lost:
-- those claim_ids. Many that end together may be whole batches of claims, which are dropped then;
-- for few, _drop_ended_claims costs less.

create function _report_outcomes(
    outcomes jsonb,
    step_ids bigint[],
    runner_id bigint,
    kept bigint[],
    taken bigint[],
    out lost bigint[],
    out started bigint[]
)
returns record
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = on
set enable_nestloop = off
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_now timestamptz := clock();
    v_held bigint[];
    v_begun integer;
    v_dropped integer;
begin
    with logged as (
        insert into workflow_step_transitions (
            workflow_step_id, created_at, runner_id, claim_id, ready_at, sort_key, from_state,
            to_state, attempts, attempt_counts, due_at, backoff_request_seconds, results, error
        )
        select
            step.workflow_step_id, v_now, step.runner_id, step.claim_id, null,
            step.transition_count + 1, step.state,
            case reported.outcome
                when 'complete' then 'complete'
                when 'fail' then 'error'
                else 'pending'
            end,
            step.attempts - case reported.outcome when 'release' then 1 else 0 end,
            reported.outcome <> 'release',
            case reported.outcome
                when 'release' then v_now + make_interval(secs => nullif(reported.delay, 0))
                when 'fail' then v_now + _retry_delay(
                    step.named_step_id, step.attempts, coalesce(reported.retryable, true),
                    reported.retry_after
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
        union all
        select
            step.workflow_step_id, v_now, _report_outcomes.runner_id, nextval('claim_id'),
            coalesce(step.enqueued_at, v_now), step.transition_count + 1, step.state, 'in_progress',
            step.attempts + 1, true, v_now + make_interval(secs => step.timeout_seconds), null,
            null, null
        from _steps_to_start(_report_outcomes.kept, _report_outcomes.taken) step
        returning workflow_step_transitions.claim_id, workflow_step_transitions.to_state
    )
    select
        coalesce(array_agg(logged.claim_id) filter (where logged.to_state <> 'in_progress'), '{}'),
        count(*) filter (where logged.to_state = 'in_progress')
    into v_held, v_begun
    from logged;
    started := _report_outcomes.kept || _report_outcomes.taken;
    if v_begun < cardinality(started) then
        started := _begun(started);
    end if;
    if cardinality(v_held) >= 20 then
        v_dropped := _drop_reported_claims(_report_outcomes.runner_id, v_held);
    end if;
    lost := '{}'::bigint[];
    if cardinality(v_held) < cardinality(step_ids) then
        lost := array(
            select (reported.outcome ->> 'claim_id')::bigint
            from jsonb_array_elements(outcomes) as reported (outcome)
            where (reported.outcome ->> 'claim_id')::bigint <> all (v_held)
        );
    end if;
end;
$$;

comment on function _report_outcomes(jsonb, bigint[], bigint, bigint[], bigint[]) is
    'Turn checked outcomes into transitions and start steps, all with one insert.';
