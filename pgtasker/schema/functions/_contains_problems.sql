-- _contains_problems: contains of a schema: how many items of an array fit, on many values at once.

create function _contains_problems(root jsonb, schema jsonb, given jsonb[], depth integer)
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    with unfit as (
        select part.places[found.place] as place, count(distinct found.place) as items
        from (
            select array_agg(item.place) as places, array_agg(element.value) as given
            from unnest(_contains_problems.given) with ordinality as item (value, place)
            cross join lateral jsonb_array_elements(
                case when jsonb_typeof(item.value) = 'array' then item.value else '[]' end
            ) as element (value)
        ) part
        cross join lateral _schema_problems(
            _contains_problems.root,
            _contains_problems.schema -> 'contains',
            part.given,
                _contains_problems.depth + 1
        ) as found
        group by part.places[found.place]
    )
    select
        item.place::integer,
        '',
        format('must contain %s fitting items, not %s', bound.words, fit.items)
    from unnest(_contains_problems.given) with ordinality as item (value, place)
    left join unfit on unfit.place = item.place
    cross join lateral (
        select case when jsonb_typeof(item.value) = 'array' then
            jsonb_array_length(item.value) - coalesce(unfit.items, 0)
        end as items
    ) fit
    cross join lateral (
        values
            (
                coalesce(_contains_problems.schema ->> 'minContains', '1') || ' or more',
                fit.items >= coalesce((_contains_problems.schema -> 'minContains')::numeric, 1)
            ),
            (
                _contains_problems.schema ->> 'maxContains' || ' or fewer',
                fit.items <= (_contains_problems.schema -> 'maxContains')::numeric
            )
    ) as bound (words, holds)
    where not bound.holds;
end;

comment on function _contains_problems(jsonb, jsonb, jsonb[], integer) is
    'Which arrays have too few or too many items that fit a schema.';
