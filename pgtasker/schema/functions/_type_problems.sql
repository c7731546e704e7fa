-- _type_problems: the keyword type of a schema, on many values at once.

create function _type_problems(schema jsonb, given jsonb[])
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    select
        item.place::integer,
        '',
        format(
            'must be %s, not %s',
            (
                select string_agg(type.name, ' or ' order by type.place)
                from jsonb_array_elements_text('[]'::jsonb || (_type_problems.schema -> 'type'))
                    with ordinality as type (name, place)
            ),
            case
                when jsonb_typeof(item.value) = 'number'
                    and _type_problems.schema -> 'type' ? 'integer' then
                    left(item.value::text, 100)
                else jsonb_typeof(item.value)
            end
        )
    from unnest(_type_problems.given) with ordinality as item (value, place)
    where not _is_of_type(item.value, _type_problems.schema -> 'type');
end;

comment on function _type_problems(jsonb, jsonb[]) is
    'Which values are not of the type that a schema asks for.';
