-- _further_problems: the schemas that hold together with a schema: $ref, allOf and
-- dependentSchemas, on many values at once.

create function _further_problems(root jsonb, schema jsonb, given jsonb[], depth integer)
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    select part.places[found.place]::integer, found.path, found.message
    from (
        select
            _further_problems.root #> _schema_pointer(_further_problems.schema ->> '$ref')
                as schema,
            null as key
        where _further_problems.schema ? '$ref'
        union all
        select further.value, null
        from jsonb_array_elements(_further_problems.schema -> 'allOf') as further (value)
        union all
        select dependent.value, dependent.key
        from jsonb_each(_further_problems.schema -> 'dependentSchemas') as dependent
    ) rule
    cross join lateral (
        select
            array_agg(item.place) as places,
            array_agg(item.value) as given
        from unnest(_further_problems.given) with ordinality as item (value, place)
        where rule.key is null or (jsonb_typeof(item.value) = 'object' and item.value ? rule.key)
    ) part
    cross join lateral _schema_problems(
        _further_problems.root,
        rule.schema,
        part.given,
        _further_problems.depth + 1
    ) as found;
end;

comment on function _further_problems(jsonb, jsonb, jsonb[], integer) is
    'What is wrong by the schemas that a schema refers to or combines.';
