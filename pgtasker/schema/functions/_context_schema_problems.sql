-- _context_schema_problems: all that is wrong with a context_schema, a sentence each, with the
-- place in the schema.

create function _context_schema_problems(root jsonb)
returns setof text
language sql
stable
begin atomic
    select format(
        'context_schema, #%s: %s',
        left(
            (
                select coalesce(
                    string_agg(
                        '/' || replace(replace(part.name, '~', '~0'), '/', '~1'),
                        ''
                        order by part.place
                    ),
                    ''
                )
                from unnest(found.pointer) with ordinality as part (name, place)
            ),
            300
        ),
        found.problem
    )
    from (
        select
            place.pointer,
            format(
                'a schema must be an object, true or false, not %s',
                left(place.schema::text, 100)
            ) as problem
        from _schema_places(_context_schema_problems.root) place
        where jsonb_typeof(place.schema) not in ('object', 'boolean')
        union all
        select place.pointer, '$id must be left out within a schema'
        from _schema_places(_context_schema_problems.root) place
        where place.pointer <> '{}'
            and jsonb_typeof(place.schema) = 'object'
            and place.schema ? '$id'
        union all
        select place.pointer, broken.problem
        from _schema_places(_context_schema_problems.root) place
        cross join lateral _keyword_problems(place.schema) as broken (problem)
        union all
        select reference.pointer, reference.problem
        from _reference_problems(_context_schema_problems.root) reference
    ) found
    order by found.pointer collate "C", found.problem collate "C";
end;

comment on function _context_schema_problems(jsonb) is
    'What is wrong with the schema of contexts, a sentence each.';
