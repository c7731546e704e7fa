-- _start_attempts: steps that the caller has locked enter in_progress, each under a fresh claim.

create function _start_attempts(runner_id bigint, step_ids bigint[])
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
    v_now timestamptz := clock();
    v_claim_ids bigint[];
begin
    with started as (
        insert into workflow_step_transitions (
            workflow_step_id, created_at, runner_id, claim_id, due_at, ready_at, sort_key,
            from_state, to_state, attempts
        )
        select
            step.workflow_step_id,
            v_now,
            _start_attempts.runner_id,
            nextval('claim_id'),
            v_now + make_interval(secs => named_step.timeout_seconds),
            (
                select waiting.enqueued_at
                from step_queue waiting
                where waiting.workflow_step_id = step.workflow_step_id
            ),
            step.transition_count + 1,
            step.state,
            'in_progress',
            step.attempts + 1
        from unnest(_start_attempts.step_ids) with ordinality as taken (workflow_step_id, place)
        cross join lateral (
            select found.*
            from workflow_steps found
            where found.workflow_step_id = taken.workflow_step_id
            offset 0
        ) step
        cross join lateral (
            select found.timeout_seconds
            from named_steps found
            where found.named_step_id = step.named_step_id
            offset 0
        ) named_step
        order by taken.place
        returning workflow_step_transitions.claim_id
    )
    select coalesce(array_agg(started.claim_id), '{}') into v_claim_ids from started;
    return v_claim_ids;
end;
$$;

comment on function _start_attempts(bigint, bigint[]) is
    'Start an attempt of each of the steps; returns the claim_ids in the same order.';
