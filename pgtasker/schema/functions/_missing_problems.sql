-- _missing_problems: required and dependentRequired of a schema, on many values at once.

create function _missing_problems(schema jsonb, given jsonb[])
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    select item.place::integer, _path_part(missing.name), 'is missing'
    from (
        select array(
            select jsonb_array_elements_text(_missing_problems.schema -> 'required')
        ) as names
        offset 0
    ) required
    cross join unnest(_missing_problems.given) with ordinality as item (value, place)
    cross join lateral unnest(required.names) as missing (name)
    where jsonb_typeof(item.value) = 'object'
        and not item.value ?& required.names
        and not item.value ? missing.name
    union all
    select
        item.place::integer,
        _path_part(missing.name),
        format('is missing, and needed with %s', ltrim(_path_part(rule.key), '.'))
    from jsonb_each(_missing_problems.schema -> 'dependentRequired') as rule
    cross join unnest(_missing_problems.given) with ordinality as item (value, place)
    cross join lateral jsonb_array_elements_text(rule.value) as missing (name)
    where jsonb_typeof(item.value) = 'object'
        and item.value ? rule.key
        and not item.value ? missing.name;
end;

comment on function _missing_problems(jsonb, jsonb[]) is
    'Which required properties are missing in which objects.';
