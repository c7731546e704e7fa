-- _item_problems: the schemas of the items of arrays, on many values at once.

create function _item_problems(root jsonb, schema jsonb, given jsonb[], depth integer)
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    select
        part.places[found.place]::integer,
        format('[%s]%s', part.numbers[found.place], found.path),
        found.message
    from (
        select prefix.value as schema, prefix.place, prefix.place as last_place
        from jsonb_array_elements(_item_problems.schema -> 'prefixItems') with ordinality
            as prefix (value, place)
        union all
        select
            _item_problems.schema -> 'items',
            coalesce(jsonb_array_length(_item_problems.schema -> 'prefixItems'), 0) + 1,
            null
        where _item_problems.schema ? 'items'
    ) rule
    cross join lateral (
        select
            array_agg(item.place) as places,
            array_agg(element.place - 1) as numbers,
            array_agg(element.value) as given
        from unnest(_item_problems.given) with ordinality as item (value, place)
        cross join lateral jsonb_array_elements(
            case when jsonb_typeof(item.value) = 'array' then item.value else '[]' end
        ) with ordinality as element (value, place)
        where element.place >= rule.place and coalesce(element.place <= rule.last_place, true)
    ) part
    cross join lateral _schema_problems(
        _item_problems.root,
        rule.schema,
        part.given,
        _item_problems.depth + 1
    ) as found;
end;

comment on function _item_problems(jsonb, jsonb, jsonb[], integer) is
    'What is wrong with the items of arrays.';
