-- _advance: reports a batch of outcomes and claims the next one. A child that an outcome just made
-- ready can be among the claimed. Locks the runner, then as reporting and claiming do.

create function _advance(
    runner_id bigint,
    outcomes jsonb,
    max_steps int,
    out lost bigint[],
    out step_ids bigint[]
)
returns record
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_runner runners := _require_runner(_advance.runner_id);
    v_most integer := _check_max_steps(_advance.max_steps);
    v_reports boolean := coalesce(_advance.outcomes, '[]') <> '[]';
    v_claiming text;
    v_outcomes integer;
begin
    lost := '{}';
    if v_reports then
        v_outcomes := _check_outcomes(_advance.outcomes);
        if v_most > 0 then
            v_claiming := set_config('pgtasker.claiming', v_runner.queues::text, true);
        end if;
        lost := _report_outcomes(_bounded_outcomes(_advance.outcomes));
        v_claiming := set_config('pgtasker.claiming', '', true);
    end if;
    step_ids := _claim(v_runner, v_most, v_reports);
end;
$$;

comment on function _advance(bigint, jsonb, int) is
    'Report outcomes, claim the next steps: the claims that were lost, the steps now held.';
