-- _check_outcomes: a batch is refused as a whole for what only a faulty runner sends. Answers which
-- steps it reports, which of them as complete, under which claims, and which not; and whether it
-- repeats any of them.

create function _check_outcomes(
    outcomes jsonb,
    out step_ids bigint[],
    out completed_ids bigint[],
    out completed_claims bigint[],
    out other_ids bigint[],
    out repeats boolean
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
            array_agg(given.step_id),
            array_agg(given.step_id) filter (where given.is_complete),
            array_agg(given.claim::bigint) filter (
                where given.is_complete and given.step_id is not null
            ),
            array_agg(given.step_id) filter (where not given.is_complete),
            count(distinct given.step_id) < count(*),
            bool_and(given.step_id is not null)
        into step_ids, completed_ids, completed_claims, other_ids, repeats, v_is_sound
        from (
            select
                case
                    when _outcome_problem(one.outcome) is null then
                        (one.outcome -> 'workflow_step_id')::bigint
                end as step_id,
                one.outcome -> 'claim_id' as claim,
                one.outcome ->> 'outcome' = 'complete' as is_complete
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
    'Refuse a malformed batch of outcomes; the steps that it reports, and how.';
