-- _check_outcomes: a batch is refused as a whole for what only a faulty runner sends. Answers which
-- steps it reports, and which of them as complete.

create function _check_outcomes(
    outcomes jsonb,
    out step_ids bigint[],
    out completed_ids bigint[]
)
returns record
language plpgsql
immutable
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_is_sound boolean := jsonb_typeof(outcomes) = 'array';
begin
    if v_is_sound then
        select
            array_agg((given.outcome -> 'workflow_step_id')::bigint)
                filter (where given.problem is null),
            array_agg((given.outcome -> 'workflow_step_id')::bigint)
                filter (where given.problem is null and given.outcome ->> 'outcome' = 'complete'),
            bool_and(given.problem is null)
        into step_ids, completed_ids, v_is_sound
        from (
            select one.outcome, _outcome_problem(one.outcome) as problem
            from jsonb_array_elements(outcomes) as one (outcome)
            offset 0
        ) given;
    end if;
    if not v_is_sound then
        perform _refuse_outcomes(outcomes);
    end if;
end;
$$;

comment on function _check_outcomes(jsonb) is
    'Refuse a malformed batch of outcomes; the steps that it reports, and those as complete.';
