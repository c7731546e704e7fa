-- advance: the same as advance_json, for clients whose JSON is the database's.

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
begin
    select done.lost, done.claimed::jsonb
    into advance.lost, advance.claimed
    from advance_json(advance.runner_id, advance.outcomes, advance.max_steps) done;
end;
$$;

comment on function advance(bigint, jsonb, int) is
    'Report outcomes and claim the next steps in one call.';
