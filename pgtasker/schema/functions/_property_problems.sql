-- _property_problems: the schemas of the properties of objects, on many values at once.

create function _property_problems(root jsonb, schema jsonb, given jsonb[], depth integer)
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    select part.places[found.place]::integer, _path_part(rule.key) || found.path, found.message
    from jsonb_each(_property_problems.schema -> 'properties') as rule
    cross join lateral (
        select
            array_agg(item.place) as places,
            array_agg(item.value -> rule.key) as given
        from unnest(_property_problems.given) with ordinality as item (value, place)
        where jsonb_typeof(item.value) = 'object' and item.value ? rule.key
    ) part
    cross join lateral _schema_problems(
        _property_problems.root,
        rule.value,
        part.given,
        _property_problems.depth + 1
    ) as found;
end;

comment on function _property_problems(jsonb, jsonb, jsonb[], integer) is
    'What is wrong with the properties that a schema names.';
