-- _text_problems: length and pattern of strings in a schema, on many values at once. Lengths count
-- characters, and a pattern may match anywhere unless it is anchored.

create function _text_problems(schema jsonb, given jsonb[])
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    select
        item.place::integer,
        '',
        format(
            rule.template,
            left(_text_problems.schema ->> rule.keyword, 200),
            case rule.keyword
                when 'pattern' then left(item.value::text, 100)
                else length(string.value)::text
            end
        )
    from (
        select
            (_text_problems.schema -> 'minLength')::numeric as least,
            (_text_problems.schema -> 'maxLength')::numeric as most,
            _schema_pattern(_text_problems.schema ->> 'pattern') as pattern
        offset 0
    ) bound
    cross join unnest(_text_problems.given) with ordinality as item (value, place)
    cross join lateral (
        select case when jsonb_typeof(item.value) = 'string' then item.value #>> '{}' end as value
        offset 0
    ) string
    cross join lateral (
        values
            (
                'minLength',
                length(string.value) >= bound.least,
                'must have %s or more characters, not %s'
            ),
            (
                'maxLength',
                length(string.value) <= bound.most,
                'must have %s or fewer characters, not %s'
            ),
            (
                'pattern',
                string.value collate "C" ~ bound.pattern,
                'must match the pattern %s, not be %s'
            )
    ) as rule (keyword, holds, template)
    where not rule.holds;
end;

comment on function _text_problems(jsonb, jsonb[]) is
    'Which strings are too short or too long for a schema, or do not match its pattern.';
