-- claim_steps: gives a runner up to max_steps ready steps of its queues, each under a fresh claim.
--
-- Key-share locks the runner; takes queue rows and steps with skip locked, so it waits for nobody.
-- A runner that gets less than it asked for, and holds or gets nothing, is marked as waiting.

create function claim_steps(runner_id bigint, max_steps int)
returns setof claimed_step
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_runner runners := _require_runner(claim_steps.runner_id);
    v_step_ids bigint[];
begin
    perform _check_max_steps(claim_steps.max_steps);
    v_step_ids := _claim(v_runner, claim_steps.max_steps, false);
    return query
    select * from json_populate_recordset(null::claimed_step, _claimed_steps(v_step_ids));
end;
$$;

comment on function claim_steps(bigint, int) is
    'Claim ready steps; higher priority first, then the oldest.';
