-- _claim: takes steps from the queue and starts an attempt of each; returns the steps.
--
-- What need not be done at every claim is not called at every claim.

create function _claim(runner runners, max_steps integer, has_reported boolean)
returns bigint[]
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_now timestamptz := clock();
    v_look boolean;
    v_due boolean;
    v_step_ids bigint[];
    v_is_short boolean;
    v_until timestamptz;
begin
    if max_steps = 0 then
        return '{}'::bigint[];
    end if;
    select
        housekeeping.looked_at <= v_now - interval '1 second'
            or housekeeping.looked_at > v_now
            or (
                housekeeping.looked_at <= v_now - interval '250 milliseconds'
                and (select sequence.last_value from step_queue_position sequence)
                    > housekeeping.position_seen + 5000
            ),
        exists (
            select
            from step_queue waiting
            where waiting.due_at >= housekeeping.due_from and waiting.due_at <= v_now
        )
    into v_look, v_due
    from housekeeping;
    if v_look then
        perform _look_at_queues();
    end if;
    if v_due then
        perform _promote_due(greatest(100, max_steps));
    end if;
    v_step_ids := _take_steps(runner.queues, max_steps);
    if v_step_ids <> '{}' then
        v_step_ids := _start_attempts(runner.runner_id, v_step_ids);
    end if;
    v_is_short := cardinality(v_step_ids) < max_steps;
    if v_is_short or runner.waiting_until is not null then
        v_until := _mark_waiting(runner, v_is_short, v_step_ids = '{}' and not has_reported);
    end if;
    if not v_is_short
        and exists (select from runners sleeper where sleeper.waiting_until is not null)
    then
        perform _wake(runner.queues, v_now);
    end if;
    return v_step_ids;
end;
$$;

comment on function _claim(runners, integer, boolean) is
    'Claim up to so many steps for a live runner.';
