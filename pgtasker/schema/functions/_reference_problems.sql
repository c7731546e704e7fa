-- _reference_problems: a $ref must lead to a schema in the same document, and not back to itself
-- about the same value: that would never end.

create function _reference_problems(root jsonb)
returns table (pointer text[], problem text)
language sql
immutable
begin atomic
    with recursive reference as (
        select
            place.pointer,
            place.schema -> '$ref' as value,
            _schema_pointer(place.schema ->> '$ref') as target
        from _schema_places(_reference_problems.root) place
        where jsonb_typeof(place.schema) = 'object' and place.schema ? '$ref'
    ),
    reached (start, pointer) as (
        select reference.pointer, reference.target
        from reference
        where _reference_problems.root #> reference.target is not null
        union
        select reached.start, next.pointer
        from reached
        cross join lateral (
            select reached.pointer || inner_schema.pointer as pointer
            from _subschemas(_reference_problems.root #> reached.pointer) as inner_schema
            where inner_schema.in_place
            union all
            select _schema_pointer(_reference_problems.root #> reached.pointer ->> '$ref')
        ) next
        where _reference_problems.root #> next.pointer is not null
    )
    select
        reference.pointer,
        format(
            '$ref must name a schema of the same document, such as #/$defs/Name, not %s',
            left(reference.value::text, 200)
        )
    from reference
    where jsonb_typeof(reference.value) <> 'string'
        or coalesce(
            jsonb_typeof(_reference_problems.root #> reference.target) not in ('object', 'boolean'),
            true
        )
        or exists (
            select
            from unnest(reference.target) with ordinality as part (name, place)
            where part.name !~ '^(0|[1-9][0-9]*)$'
                and jsonb_typeof(
                    _reference_problems.root #> reference.target[:part.place - 1]
                ) = 'array'
        )
    union all
    select reached.start, '$ref leads back to itself without a step into the value'
    from reached
    where reached.pointer = reached.start;
end;

comment on function _reference_problems(jsonb) is
    'What is wrong with the references within a schema.';
