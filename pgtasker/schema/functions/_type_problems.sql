-- _type_problems: the keyword type of a schema, on many values at once.

create function _type_problems(schema jsonb, given jsonb[], paths text[])
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    select
        item.place::integer,
        item.path,
        format(
            'must be %s, not %s',
            array_to_string(allowed.types, ' or '),
            case
                when jsonb_typeof(item.value) = 'number' and 'integer' = any (allowed.types) then
                    left(item.value::text, 100)
                else jsonb_typeof(item.value)
            end
        )
    from (
        select array(
            select jsonb_array_elements_text('[]'::jsonb || (_type_problems.schema -> 'type'))
        ) as types
        offset 0
    ) allowed
    cross join unnest(_type_problems.given, _type_problems.paths) with ordinality
        as item (value, path, place)
    where not _is_of_type(item.value, allowed.types);
end;

comment on function _type_problems(jsonb, jsonb[], text[]) is
    'Which values are not of the type that a schema asks for.';
