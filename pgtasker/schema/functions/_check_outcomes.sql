-- _check_outcomes: a batch is refused as a whole for what only a faulty runner sends. Returns
-- how many outcomes there are.

create function _check_outcomes(outcomes jsonb)
returns integer
language plpgsql
immutable
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_bad record;
begin
    if jsonb_typeof(outcomes) <> 'array' then
        perform _refuse(
            format('outcomes must be an array, not %s', jsonb_typeof(outcomes)),
            format('Given was %s.', left(outcomes::text, 200)),
            'Pass an array of objects, one for each outcome; [] for none.'
        );
    end if;
    select given.place, given.outcome, problem.problem
    into v_bad
    from jsonb_array_elements(outcomes) with ordinality as given (outcome, place)
    cross join lateral (
        select case
            when jsonb_typeof(given.outcome) <> 'object' then 'it is no object'
            when not coalesce(_is_id(given.outcome -> 'workflow_step_id'), false) then
                'workflow_step_id must be a whole number'
            when not coalesce(_is_id(given.outcome -> 'claim_id'), false) then
                'claim_id must be a whole number'
            when coalesce(
                given.outcome ->> 'outcome',
                ''
            ) not in ('complete', 'fail', 'release') then
                'outcome must be complete, fail or release'
            when given.outcome ->> 'outcome' = 'fail'
                and coalesce(jsonb_typeof(given.outcome -> 'error'), 'null') = 'null' then
                'fail needs an error'
            when coalesce(
                jsonb_typeof(given.outcome -> 'retryable'),
                'null'
            ) not in ('boolean', 'null')
                then 'retryable must be true or false'
            when not _is_delay(given.outcome -> 'retry_after') then
                'retry_after must be 0 to 3155760000 seconds'
            when not _is_delay(given.outcome -> 'delay') then
                'delay must be 0 to 3155760000 seconds'
            when given.outcome - array[
                'workflow_step_id', 'claim_id', 'outcome', 'results', 'error', 'retryable',
                'retry_after', 'delay'
            ] <> '{}' then
                'it has an unknown field'
        end as problem
    ) problem
    where problem.problem is not null
    limit 1;
    if v_bad.problem is not null then
        perform _refuse(
            format('outcomes[%s] is malformed: %s', v_bad.place, v_bad.problem),
            format('Given was %s.', left(v_bad.outcome::text, 200)),
            'Correct the runner; none of the outcomes was taken.'
        );
    end if;
    return jsonb_array_length(outcomes);
end;
$$;

comment on function _check_outcomes(jsonb) is
    'Refuse a malformed batch of outcomes.';
