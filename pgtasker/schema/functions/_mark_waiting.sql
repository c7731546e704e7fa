-- _mark_waiting: a runner that got nothing, and either holds nothing or looked in vain with nothing
-- to report, will sleep; until when, is noted. Any other runner is awake and is back with its next
-- outcome. Of one that holds nothing, what it held is forgotten.

create function _mark_waiting(runner runners, got_nothing boolean, has_reported boolean)
returns timestamptz
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
    v_sleeps boolean := got_nothing and not has_reported;
    v_dropped integer;
    v_until timestamptz;
begin
    if got_nothing and has_reported then
        v_sleeps := not exists (
            select
            from _held_claims claim
            where claim.runner_id = runner.runner_id
        );
        if v_sleeps then
            v_dropped := _drop_ended_claims(array[runner.runner_id]);
        end if;
    end if;
    if v_sleeps then
        v_until := least(_next_due(), clock() + _setting_interval('poll_interval'));
    end if;
    if v_until is not null or runner.waiting_until is not null then
        update runners
        set waiting_until = v_until
        where runners.runner_id = _mark_waiting.runner.runner_id
            and runners.ended_at is null;
    end if;
    return v_until;
end;
$$;

comment on function _mark_waiting(runners, boolean, boolean) is
    'Note until when a runner sleeps, or that it does not.';
