-- _start_attempts: steps that the caller has locked enter in_progress, each under a fresh claim, by
-- priority and position. Who took the row of a step out of the queue since the caller looked
-- (paused its task) had the step locked: what is not there now is not started.

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
set jit = off
as $$
declare
    v_now timestamptz := clock();
    v_started integer;
begin
    with step as materialized (
        select
            found.workflow_step_id, found.named_step_id, found.transition_count, found.state,
            found.attempts
        from workflow_steps found
        where found.workflow_step_id = any (_start_attempts.step_ids)
    )
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
        waiting.enqueued_at,
        step.transition_count + 1,
        step.state,
        'in_progress',
        step.attempts + 1
    from step
    join step_queue waiting
        on waiting.workflow_step_id = any (_start_attempts.step_ids)
        and waiting.workflow_step_id + 0 = step.workflow_step_id
    join named_steps named_step
        on named_step.named_step_id = any (array(select step.named_step_id from step))
        and named_step.named_step_id + 0 = step.named_step_id
    order by waiting.priority desc, waiting.position;
    get diagnostics v_started = row_count;
    if v_started = cardinality(_start_attempts.step_ids) then
        return _start_attempts.step_ids;
    end if;
    return array(
        select step.workflow_step_id
        from workflow_steps step
        where step.workflow_step_id = any (_start_attempts.step_ids)
            and step.state = 'in_progress'
    );
end;
$$;

comment on function _start_attempts(bigint, bigint[]) is
    'Start an attempt of each of the steps that are still queued; returns their ids.';
