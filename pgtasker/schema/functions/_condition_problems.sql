-- _condition_problems: if, then and else of a schema, on many values at once.

create function _condition_problems(root jsonb, schema jsonb, given jsonb[], depth integer)
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    with unfit as materialized (
        select distinct found.place
        from _schema_problems(
            _condition_problems.root,
            _condition_problems.schema -> 'if',
            _condition_problems.given,
            _condition_problems.depth + 1
        ) as found
    )
    select part.places[found.place]::integer, found.path, found.message
    from (values ('then', true), ('else', false)) as rule (keyword, is_for_fitting)
    cross join lateral (
        select
            array_agg(item.place) as places,
            array_agg(item.value) as given
        from unnest(_condition_problems.given) with ordinality as item (value, place)
        where (item.place not in (select unfit.place from unfit)) = rule.is_for_fitting
    ) part
    cross join lateral _schema_problems(
        _condition_problems.root,
        _condition_problems.schema -> rule.keyword,
        part.given,
        _condition_problems.depth + 1
    ) as found
    where _condition_problems.schema ? rule.keyword;
end;

comment on function _condition_problems(jsonb, jsonb, jsonb[], integer) is
    'What is wrong by what a schema asks for under a condition.';
