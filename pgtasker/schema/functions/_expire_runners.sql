-- _expire_runners: takeover. A runner whose lease is over, or whose suspicion is confirmed, ends;
-- what it held goes back at once, and its last attempts count.
--
-- Locks the runners for update, against claims in flight, then their steps. Returns whether there
-- was anything to give back.

create function _expire_runners()
returns boolean
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
declare
    v_now timestamptz := clock();
    v_queues text[];
    v_gone bigint[];
    v_step_ids bigint[];
    v_claim_ids bigint[];
    v_dropped integer;
begin
    with dead as (
        select runner.runner_id, runner.queues, runner.waiting_until, reason.reason
        from runners runner
        cross join lateral (
            select case
                when _lease_is_over(runner) then 'its lease ran out'
                when runner.suspected_at <= v_now - _setting_interval('takeover_delay') * 0.9
                    and runner.last_heartbeat_at < runner.suspected_at
                    then 'its connection was lost'
            end as reason
        ) reason
        where runner.ended_at is null and reason.reason is not null
        order by runner.runner_id
        limit 100
        for update of runner skip locked
    ),
    ended as (
        update runners runner
        set ended_at = v_now, end_reason = dead.reason, waiting_until = null, lock_pid = null
        from dead
        where runner.runner_id = dead.runner_id
        returning dead.queues, dead.waiting_until
    )
    select array_agg(distinct queue.queue)
    into v_queues
    from ended
    cross join unnest(ended.queues) as queue (queue)
    where ended.waiting_until is not null;
    -- A wake-up may have gone to the dead: pass it on.
    perform _wake(v_queues, v_now);

    v_gone := array(
        select distinct batch.runner_id
        from claim_batches batch
        join runners runner on runner.runner_id = batch.runner_id
        where runner.ended_at is not null
    );
    if v_gone = '{}' then
        return false;
    end if;
    select array_agg(claim.workflow_step_id), array_agg(claim.claim_id)
    into v_step_ids, v_claim_ids
    from (
        select held.workflow_step_id, held.claim_id
        from _held_claims held
        where held.runner_id = any (v_gone)
        limit 1000
    ) claim;
    perform _give_back(v_step_ids, v_claim_ids, true, 'the runner was lost');
    v_dropped := _drop_ended_claims(v_gone);
    return v_claim_ids is not null;
end;
$$;

comment on function _expire_runners() is
    'End runners that are dead and give their steps back; true if there were any steps.';
