-- _subschemas: where a schema holds other schemas. in_place: they are about the same value, and not
-- about a part of it.

create function _subschemas(schema jsonb)
returns table (pointer text[], in_place boolean)
language sql
immutable
begin atomic
    with holder (keyword, kind, in_place) as (
        values
            ('additionalProperties', 'schema', false),
            ('propertyNames', 'schema', false),
            ('items', 'schema', false),
            ('contains', 'schema', false),
            ('not', 'schema', true),
            ('if', 'schema', true),
            ('then', 'schema', true),
            ('else', 'schema', true),
            ('prefixItems', 'array', false),
            ('allOf', 'array', true),
            ('anyOf', 'array', true),
            ('oneOf', 'array', true),
            ('properties', 'object', false),
            ('patternProperties', 'object', false),
            ('dependentSchemas', 'object', true),
            ('$defs', 'object', null),
            ('definitions', 'object', null)
    ),
    held as (
        select holder.keyword, holder.in_place, holder.kind, given.value
        from holder
        cross join lateral (
            select _subschemas.schema -> holder.keyword as value
        ) given
        where jsonb_typeof(_subschemas.schema) = 'object'
            and given.value is not null
            and holder.kind in ('schema', jsonb_typeof(given.value))
    )
    select array[held.keyword], held.in_place
    from held
    where held.kind = 'schema'
    union all
    select array[held.keyword, (item.place - 1)::text], held.in_place
    from held
    cross join lateral jsonb_array_elements(held.value) with ordinality as item (value, place)
    where held.kind = 'array'
    union all
    select array[held.keyword, member.key], held.in_place
    from held
    cross join lateral jsonb_object_keys(held.value) as member (key)
    where held.kind = 'object';
end;

comment on function _subschemas(jsonb) is
    'The places in a schema at which it holds other schemas.';
