-- heartbeat: "I live, and this is what I hold." One row update, whatever number of steps is held.
--
-- held is compared both ways: what the runner should abandon is returned, what the database has
-- beyond it (a claim whose answer was lost) goes back without using up an attempt. Ask between
-- claims. Tidies up behind the runner. Locks the runner, then steps that go back.

create function heartbeat(runner_id bigint, held bigint[] default null)
returns setof bigint
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
    v_runner runners := _require_runner(heartbeat.runner_id);
    v_has_lock boolean;
    v_step_ids bigint[];
    v_claim_ids bigint[];
    v_dropped integer;
begin
    perform _require('held', array_position(heartbeat.held, null) is null);
    v_has_lock := v_runner.lock_pid = pg_backend_pid()
        and v_runner.incarnation = pg_postmaster_start_time();
    if v_has_lock is not true and v_runner.lock_trusted then
        v_has_lock := pg_try_advisory_lock(_runner_lock_key(heartbeat.runner_id));
    end if;
    update runners runner
    set
        last_heartbeat_at = clock(),
        lease_expires_at = clock() + _setting_interval('lease'),
        suspected_at = null,
        incarnation = pg_postmaster_start_time(),
        lock_pid = case when v_has_lock then pg_backend_pid() end,
        -- Another session has the lock while the runner lives: a pooler shares connections, and
        -- the lock says nothing about the runner. From now on the lease alone decides.
        lock_trusted = coalesce(v_has_lock, false)
    where runner.runner_id = heartbeat.runner_id;
    v_dropped := _drop_ended_claims(array[heartbeat.runner_id]);
    if heartbeat.held is null then
        return;
    end if;

    select array_agg(claim.workflow_step_id), array_agg(claim.claim_id)
    into v_step_ids, v_claim_ids
    from _held_claims claim
    where claim.runner_id = heartbeat.runner_id and claim.claim_id <> all (heartbeat.held);
    perform _give_back(v_step_ids, v_claim_ids, false, 'the runner does not have it');
    return query
    select given.claim_id
    from unnest(heartbeat.held) as given (claim_id)
    except
    select claim.claim_id
    from _held_claims claim
    where claim.runner_id = heartbeat.runner_id;
end;
$$;

comment on function heartbeat(bigint, bigint[]) is
    'Renew a runner''s lease; returns those of the held claim_ids that are no longer valid.';
