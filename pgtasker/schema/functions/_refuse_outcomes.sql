-- _refuse_outcomes: says which outcome of a batch is malformed, and how.

create function _refuse_outcomes(outcomes jsonb)
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _refuse(
        format('outcomes must be an array, not %s', jsonb_typeof(outcomes)),
        format('Given was %s.', left(outcomes::text, 200)),
        'Pass an array of objects, one for each outcome; [] for none.'
    )
    where jsonb_typeof(outcomes) <> 'array';
    perform _refuse(
        format('outcomes[%s] is malformed: %s', bad.place, bad.problem),
        format('Given was %s.', left(bad.outcome::text, 200)),
        'Correct the runner; none of the outcomes was taken.'
    )
    from (
        select given.place, given.outcome, _outcome_problem(given.outcome) as problem
        from jsonb_array_elements(outcomes) with ordinality as given (outcome, place)
        where _outcome_problem(given.outcome) is not null
        order by given.place
        limit 1
    ) bad;
end;
$$;

comment on function _refuse_outcomes(jsonb) is
    'Refuse a malformed batch of outcomes as a whole, with the first that is wrong.';
