-- _enum_problems: enum and const of a schema, on many values at once.

create function _enum_problems(schema jsonb, given jsonb[])
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    select
        item.place::integer,
        '',
        format('must be %s, not %s', allowed.words, left(item.value::text, 100))
    from (
        select _enum_problems.schema -> 'enum' as list
        where _enum_problems.schema ? 'enum'
        union all
        select jsonb_build_array(_enum_problems.schema -> 'const')
        where _enum_problems.schema ? 'const'
    ) rule
    cross join lateral (
        select
            coalesce(array_agg(element.value), '{}') as list,
            case when count(*) > 1 then 'one of ' else '' end || coalesce(
                left(string_agg(element.value::text, ', ' order by element.place), 300),
                'nothing at all'
            ) as words
        from jsonb_array_elements(rule.list) with ordinality as element (value, place)
    ) allowed
    cross join unnest(_enum_problems.given) with ordinality as item (value, place)
    where item.value <> all (allowed.list);
end;

comment on function _enum_problems(jsonb, jsonb[]) is
    'Which values are not among those that a schema allows.';
