-- _give_back: claimed steps return to pending without an outcome, at once and without backoff.
--
-- A lost attempt counts (and its step fails for good if it was the last one); a released one does
-- not. Steps whose row is locked are about to get an outcome and are left alone.

create function _give_back(step_ids bigint[], claim_ids bigint[], counts boolean, reason text)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_nestloop = on
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
begin
    if coalesce(_give_back.claim_ids, '{}') = '{}' then
        return;
    end if;
    with held as (
        select step.*
        from workflow_steps step
        where step.workflow_step_id = any (_give_back.step_ids)
            and step.claim_id = any (_give_back.claim_ids)
        order by step.workflow_step_id
        for update skip locked
    )
    insert into workflow_step_transitions (
        workflow_step_id, created_at, runner_id, claim_id, sort_key, from_state, to_state,
        attempts, attempt_counts, reason, error
    )
    select
        held.workflow_step_id,
        clock(),
        held.runner_id,
        held.claim_id,
        held.transition_count + 1,
        held.state,
        outcome.to_state,
        held.attempts - case when _give_back.counts then 0 else 1 end,
        _give_back.counts,
        _give_back.reason,
        case outcome.to_state
            when 'error' then jsonb_build_object('type', 'RunnerLost', 'message', _give_back.reason)
        end
    from held
    join named_steps named_step on named_step.named_step_id = held.named_step_id
    cross join lateral (
        select case
            when _give_back.counts
                and (held.attempts >= named_step.retry_limit or not named_step.retryable)
                then 'error'
            else 'pending'
        end as to_state
    ) outcome;
end;
$$;

comment on function _give_back(bigint[], bigint[], boolean, text) is
    'Return claimed steps to the queue; optionally the attempt counts.';
