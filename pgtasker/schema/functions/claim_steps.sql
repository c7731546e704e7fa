-- claim_steps: gives a runner up to max_steps ready steps of its queues, each under a fresh claim:
-- advance_json with nothing to report, answered as rows.
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
begin
    return query
    select claimed.*
    from advance_json(claim_steps.runner_id, null, claim_steps.max_steps) advanced
    cross join lateral json_populate_recordset(null::claimed_step, advanced.claimed::json) claimed;
end;
$$;

comment on function claim_steps(bigint, int) is
    'Claim ready steps; higher priority first, then the oldest.';
