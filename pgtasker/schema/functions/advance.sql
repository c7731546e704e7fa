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
    v_runner runners := _require_runner(advance.runner_id);
    v_step_ids bigint[];
begin
    perform _check_max_steps(advance.max_steps);
    lost := '{}';
    if coalesce(advance.outcomes, '[]') <> '[]' then
        perform _check_outcomes(advance.outcomes);
        if advance.max_steps > 0 then
            perform set_config('pgtasker.claiming', v_runner.queues::text, true);
        end if;
        lost := _report_outcomes(_bounded_outcomes(advance.outcomes));
        perform set_config('pgtasker.claiming', '', true);
    end if;
    v_step_ids := _claim(
        v_runner,
        advance.max_steps,
        coalesce(advance.outcomes, '[]') <> '[]'
    );
    claimed := coalesce(
        (select jsonb_agg(step) from _claimed_steps(v_step_ids) step),
        '[]'
    );
end;
$$;

comment on function advance(bigint, jsonb, int) is
    'Report outcomes and claim the next steps in one call.';
