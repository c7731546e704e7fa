-- _number_problems: the bounds of numbers in a schema, on many values at once. Exact: a JSON number
-- is a numeric here.

create function _number_problems(schema jsonb, given jsonb[])
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    select
        item.place::integer,
        '',
        format('must be %s %s, not %s', rule.words, rule.operand, left(item.value::text, 100))
    from (
        select
            (_number_problems.schema -> 'minimum')::numeric as least,
            (_number_problems.schema -> 'exclusiveMinimum')::numeric as above,
            (_number_problems.schema -> 'maximum')::numeric as most,
            (_number_problems.schema -> 'exclusiveMaximum')::numeric as below,
            (_number_problems.schema -> 'multipleOf')::numeric as factor
        offset 0
    ) bound
    cross join unnest(_number_problems.given) with ordinality as item (value, place)
    cross join lateral (
        select case when jsonb_typeof(item.value) = 'number' then item.value::numeric end as value
        offset 0
    ) number
    cross join lateral (
        values
            ('at least', bound.least, number.value >= bound.least),
            ('more than', bound.above, number.value > bound.above),
            ('at most', bound.most, number.value <= bound.most),
            ('less than', bound.below, number.value < bound.below),
            ('a multiple of', bound.factor, number.value % bound.factor = 0)
    ) as rule (words, operand, holds)
    where not rule.holds;
end;

comment on function _number_problems(jsonb, jsonb[]) is
    'Which numbers are out of the bounds of a schema.';
