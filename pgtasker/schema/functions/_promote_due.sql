-- _promote_due: what has come due becomes ready: an error is retried, a snooze or a schedule ends.
--
-- Queue rows and steps are taken with skip locked, like a claim's.

create function _promote_due(max_steps integer)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_nestloop = on
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_now timestamptz := clock();
    v_due_from timestamptz := (select housekeeping.due_from from housekeeping);
    v_due bigint[];
    v_retried bigint[];
    v_ready bigint[];
begin
    v_due := array(
        select waiting.workflow_step_id
        from step_queue waiting
        where waiting.due_at >= v_due_from and waiting.due_at <= v_now
        order by waiting.due_at
        limit _promote_due.max_steps
        for update skip locked
    );
    if v_due = '{}' then
        return;
    end if;
    select
        array_agg(locked.workflow_step_id) filter (where locked.state = 'error'),
        array_agg(locked.workflow_step_id) filter (where locked.state <> 'error')
    into v_retried, v_ready
    from (
        select step.workflow_step_id, step.state
        from workflow_steps step
        where step.workflow_step_id = any (v_due)
        order by step.workflow_step_id
        for update skip locked
    ) locked;
    update step_queue waiting
    set due_at = null, position = nextval('step_queue_position'), enqueued_at = v_now
    where waiting.workflow_step_id = any (v_ready);
    insert into workflow_step_transitions (
        workflow_step_id, created_at, sort_key, from_state, to_state, attempts, reason
    )
    select
        step.workflow_step_id, v_now, step.transition_count + 1, step.state, 'pending',
        step.attempts, 'due for a retry'
    from workflow_steps step
    where step.workflow_step_id = any (v_retried);
end;
$$;

comment on function _promote_due(integer) is
    'Make ready what has come due.';
