-- _claim: takes steps from the queue, if it may have any, and starts an attempt of each, as far as
-- those that the runner started just before leave room. Returns both. One claim in a hundred tidies
-- up behind the runner.

create function _claim(
    runner runners,
    max_steps integer,
    has_reported boolean,
    started bigint[],
    something_waits boolean
)
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
    v_step_ids bigint[] := started;
    v_taken bigint[];
    v_until timestamptz;
    v_dropped integer;
begin
    if something_waits and cardinality(started) < max_steps then
        v_taken := _take_steps(runner.queues, max_steps - cardinality(started));
        if v_taken <> '{}' then
            v_step_ids := started || _start_attempts(runner.runner_id, v_taken);
        end if;
    end if;
    if v_step_ids = '{}' or runner.waiting_until is not null then
        v_until := _mark_waiting(runner, v_step_ids = '{}', has_reported);
    end if;
    if cardinality(v_step_ids) >= max_steps
        and exists (select from runners sleeper where sleeper.waiting_until is not null)
    then
        perform _wake(runner.queues, clock());
    end if;
    if random() < 0.01 then
        v_dropped := _drop_ended_claims(array[runner.runner_id]);
    end if;
    return v_step_ids;
end;
$$;

comment on function _claim(runners, integer, boolean, bigint[], boolean) is
    'Claim up to so many steps for a live runner.';
