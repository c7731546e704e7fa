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
    v_reports boolean := coalesce(_advance.outcomes, '[]') <> '[]';
    v_claiming text;
    v_outcomes integer;
begin
    if _advance.max_steps is null or _advance.max_steps not between 0 and 10000 then
        perform _check_max_steps(_advance.max_steps);
    end if;
    lost := '{}';
    if v_reports then
        v_outcomes := _check_outcomes(_advance.outcomes);
        if _advance.max_steps > 0 then
            v_claiming := set_config('pgtasker.claiming', v_runner.queues::text, true);
        end if;
        lost := _report_outcomes(_bounded_outcomes(_advance.outcomes));
        v_claiming := set_config('pgtasker.claiming', '', true);
    end if;
    step_ids := _claim(v_runner, _advance.max_steps, v_reports);
end;
$$;

comment on function _advance(bigint, jsonb, int) is
    'Report outcomes, claim the next steps: the claims that were lost, the steps now held.';
