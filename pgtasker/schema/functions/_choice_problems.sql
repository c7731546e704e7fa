-- _choice_problems: anyOf or oneOf of a schema, on many values at once. A value that only one
-- alternative could fit is told what is wrong by that one; else all that was tried is told.

create function _choice_problems(
    root jsonb,
    schema jsonb,
    keyword text,
    given jsonb[],
    depth integer
)
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    with trial as materialized (
        select tried.*
        from _trial_problems(
            _choice_problems.root,
            _choice_problems.schema -> _choice_problems.keyword,
            _choice_problems.given,
            _choice_problems.depth
        ) tried
    ),
    verdict as (
        select
            tried.place,
            count(*) as tried,
            count(*) filter (where tried.problems = 0) as fitting,
            string_agg(tried.words, '; or ' order by tried.problems, tried.alternative) as words
        from (
            select
                trial.place,
                trial.alternative,
                count(trial.message) as problems,
                string_agg(
                    ltrim(trial.path || ' ' || trial.message, '. '),
                    ' and '
                    order by trial.path collate "C", trial.message collate "C"
                ) as words
            from trial
            group by trial.place, trial.alternative
        ) tried
        group by tried.place
    ),
    misfit as materialized (
        select
            item.place::integer as place,
            item.value,
            verdict.tried,
            verdict.fitting,
            verdict.words
        from unnest(_choice_problems.given) with ordinality as item (value, place)
        left join verdict on verdict.place = item.place
        where coalesce(verdict.fitting, 0) = 0
            or (verdict.fitting > 1 and _choice_problems.keyword = 'oneOf')
    )
    select misfit.place, trial.path, trial.message
    from misfit
    join trial on trial.place = misfit.place and trial.message is not null
    where misfit.fitting = 0 and misfit.tried = 1
    union all
    select
        misfit.place,
        '',
        case
            when misfit.fitting > 1 then
                format('fits %s alternatives instead of exactly one', misfit.fitting)
            when misfit.tried > 1 then 'fits no alternative: ' || left(misfit.words, 1000)
            else format(
                'must be %s, not %s',
                _alternative_types(
                    _choice_problems.root,
                    _choice_problems.schema -> _choice_problems.keyword
                ),
                jsonb_typeof(misfit.value)
            )
        end
    from misfit
    where misfit.tried is distinct from 1 or misfit.fitting > 1;
end;

comment on function _choice_problems(jsonb, jsonb, text, jsonb[], integer) is
    'Which values fit none of the alternatives of a schema, or too many.';
