-- _trial_problems: tries alternative schemas on those of many values that are of a type that they
-- allow: a row for each trial, and one with a message for each problem.

create function _trial_problems(root jsonb, alternatives jsonb, given jsonb[], depth integer)
returns table (alternative integer, place integer, path text, message text)
language sql
stable
begin atomic
    select rule.place::integer, found.place::integer, found.path, found.message
    from (
        select
            -- The type is looked at here.
            case when tried.value ? 'type' then tried.value - 'type' else tried.value end as schema,
            tried.place,
            _schema_types(_trial_problems.root, tried.value) as types
        from jsonb_array_elements(_trial_problems.alternatives) with ordinality
            as tried (value, place)
        offset 0
    ) rule
    cross join lateral (
        select
            array_agg(item.place) as places,
            array_agg(item.value) as given
        from unnest(_trial_problems.given) with ordinality as item (value, place)
        where rule.types is null or _is_of_type(item.value, rule.types)
    ) part
    cross join lateral (
        select tried.place, null as path, null as message
        from unnest(part.places) as tried (place)
        union all
        select part.places[problem.place], problem.path, problem.message
        from _schema_problems(
            _trial_problems.root,
            rule.schema,
            part.given,
            _trial_problems.depth + 1
        ) as problem
    ) found;
end;

comment on function _trial_problems(jsonb, jsonb, jsonb[], integer) is
    'Which values fit which alternatives of a schema, and what is wrong where they do not.';
