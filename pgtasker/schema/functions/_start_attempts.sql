-- _start_attempts: steps that the caller has locked and found in the queue enter in_progress, each
-- under a fresh claim. Returns those that were still queued.

create function _start_attempts(runner_id bigint, step_ids bigint[])
returns bigint[]
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
    v_begun integer;
begin
    insert into workflow_step_transitions (
        workflow_step_id, created_at, runner_id, claim_id, due_at, ready_at, sort_key,
        from_state, to_state, attempts
    )
    select
        step.workflow_step_id,
        v_now,
        _start_attempts.runner_id,
        nextval('claim_id'),
        v_now + make_interval(secs => step.timeout_seconds),
        step.enqueued_at,
        step.transition_count + 1,
        step.state,
        'in_progress',
        step.attempts + 1
    from _steps_to_start('{}', _start_attempts.step_ids) step;
    get diagnostics v_begun = row_count;
    if v_begun < cardinality(_start_attempts.step_ids) then
        return _begun(_start_attempts.step_ids);
    end if;
    return _start_attempts.step_ids;
end;
$$;

comment on function _start_attempts(bigint, bigint[]) is
    'Start an attempt of each of the steps that are still queued; returns their ids.';
