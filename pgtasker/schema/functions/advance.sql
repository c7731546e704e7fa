-- advance: reports a batch of outcomes and claims the next one, in one round trip and one commit.
--
-- A child that an outcome just made ready can be in the batch that it returns. One raced outcome is
-- lost, the others count. Locks the runner, then as reporting and claiming do.

create function advance(
    runner_id bigint,
    outcomes jsonb,
    max_steps int,
    out lost bigint[],
    out claimed jsonb
)
returns record
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_step_ids bigint[];
begin
    select done.lost, done.step_ids
    into advance.lost, v_step_ids
    from _advance(advance.runner_id, advance.outcomes, advance.max_steps) done;
    claimed := coalesce((select jsonb_agg(step) from _claimed_steps(v_step_ids) step), '[]');
end;
$$;

comment on function advance(bigint, jsonb, int) is
    'Report outcomes and claim the next steps in one call.';
