-- _property_problems: the schemas of the properties of objects, on many values at once.

create function _property_problems(
    root jsonb,
    schema jsonb,
    given jsonb[],
    paths text[],
    depth integer
)
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    select part.places[found.place]::integer, found.path, found.message
    from jsonb_each(_property_problems.schema -> 'properties') as rule
    cross join lateral (select _path_part(rule.key) as name offset 0) path
    cross join lateral (
        select
            array_agg(item.place) as places,
            array_agg(item.value -> rule.key) as given,
            array_agg(item.path || path.name) as paths
        from unnest(_property_problems.given, _property_problems.paths) with ordinality
            as item (value, path, place)
        where jsonb_typeof(item.value) = 'object' and item.value ? rule.key
    ) part
    cross join lateral _schema_problems(
        _property_problems.root,
        rule.value,
        part.given,
        part.paths,
        _property_problems.depth + 1
    ) as found;
end;

comment on function _property_problems(jsonb, jsonb, jsonb[], text[], integer) is
    'What is wrong with the properties that a schema names.';
