-- _schema_places: all schemas within a schema, itself first, and what a $ref leads to.

create function _schema_places(root jsonb)
returns table (pointer text[], schema jsonb)
language sql
immutable
begin atomic
    with recursive place (pointer) as (
        select '{}'::text[]
        union
        select held.pointer
        from place
        cross join lateral (
            select place.pointer || inner_schema.pointer as pointer
            from _subschemas(_schema_places.root #> place.pointer) as inner_schema
            union all
            select _schema_pointer(_schema_places.root #> place.pointer ->> '$ref')
        ) held
        where _schema_places.root #> held.pointer is not null
    )
    select place.pointer, _schema_places.root #> place.pointer
    from place;
end;

comment on function _schema_places(jsonb) is
    'Every schema within a schema, and the keys that lead to it.';
