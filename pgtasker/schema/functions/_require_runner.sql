-- _require_runner: the runner, if it is live; an expired id stays dead, so that a claim in flight
-- on another connection cannot slip in after the takeover.
--
-- Key-share locks the runner: a takeover waits, or is waited for. Heartbeats are not in the way.

create function _require_runner(runner_id bigint)
returns runners
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_runner runners;
begin
    select runner.*
    into v_runner
    from runners runner
    where runner.runner_id = _require_runner.runner_id
    for key share;
    if v_runner.runner_id is null or v_runner.ended_at is not null or _lease_is_over(v_runner) then
        perform _refuse_runner(_require_runner.runner_id, v_runner);
    end if;
    return v_runner;
end;
$$;

comment on function _require_runner(bigint) is
    'A live runner, locked against takeover; any other is refused with TK004.';
