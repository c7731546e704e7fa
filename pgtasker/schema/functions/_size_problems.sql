-- _size_problems: how many items an array may have, how many properties an object, and no item
-- twice, on many values at once.

create function _size_problems(schema jsonb, given jsonb[])
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    select
        item.place::integer,
        '',
        format('must have %s %s %s, not %s', rule.bound, rule.words, size.noun, size.number)
    from unnest(_size_problems.given) with ordinality as item (value, place)
    cross join lateral (
        select
            'items' as noun,
            jsonb_array_length(item.value)::numeric as number,
            _size_problems.schema -> 'minItems' as least,
            _size_problems.schema -> 'maxItems' as most
        where jsonb_typeof(item.value) = 'array'
        union all
        select
            'properties',
            (select count(*) from jsonb_object_keys(item.value)),
            _size_problems.schema -> 'minProperties',
            _size_problems.schema -> 'maxProperties'
        where jsonb_typeof(item.value) = 'object'
    ) size
    cross join lateral (
        values
            ('or more', size.least, size.number >= size.least::numeric),
            ('or fewer', size.most, size.number <= size.most::numeric)
    ) as rule (words, bound, holds)
    where not rule.holds
    union all
    select item.place::integer, '', 'must not have an item twice'
    from unnest(_size_problems.given) with ordinality as item (value, place)
    where _size_problems.schema -> 'uniqueItems' = 'true'
        and case when jsonb_typeof(item.value) = 'array' then
            jsonb_array_length(item.value) <> (
                select count(distinct element.value)
                from jsonb_array_elements(item.value) as element (value)
            )
        end;
end;

comment on function _size_problems(jsonb, jsonb[]) is
    'Which arrays and objects are too small or too large for a schema, or repeat an item.';
