-- advance_json: reports a batch of outcomes and claims the next one, in one round trip and one
-- commit. For clients that parse the answer themselves: json is text already and costs the server
-- less than jsonb does.
--
-- A child that an outcome just made ready can be in the batch that it returns. One raced outcome is
-- lost, the others count. Locks the runner, then as reporting and claiming do.

create function advance_json(
    runner_id bigint,
    outcomes jsonb,
    max_steps int,
    out lost bigint[],
    out claimed json
)
returns record
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_runner runners := _require_runner(advance_json.runner_id);
    v_most integer := _check_max_steps(advance_json.max_steps);
    v_reports boolean := coalesce(advance_json.outcomes, '[]') <> '[]';
    v_reported record;
    v_claiming text;
    v_step_ids bigint[];
begin
    lost := '{}'::bigint[];
    if v_reports then
        v_reported := _check_outcomes(advance_json.outcomes);
        if v_most > 0 then
            v_claiming := set_config('pgtasker.claiming', v_runner.queues::text, true);
        end if;
        lost := _report_outcomes(
            _bounded_outcomes(advance_json.outcomes),
            v_reported.step_ids,
            v_reported.completed_ids
        );
        v_claiming := set_config('pgtasker.claiming', '', true);
    end if;
    v_step_ids := _claim(v_runner, v_most, v_reports);
    claimed := _claimed_steps(v_step_ids);
end;
$$;

comment on function advance_json(bigint, jsonb, int) is
    'Report outcomes and claim the next steps in one call, answered as json.';
