-- _excluded_problems: not of a schema, on many values at once.

create function _excluded_problems(root jsonb, schema jsonb, given jsonb[], depth integer)
returns table (place integer, path text, message text)
language sql
stable
begin atomic
    select item.place::integer, '', 'fits what its schema excludes with not'
    from unnest(_excluded_problems.given) with ordinality as item (value, place)
    where item.place not in (
        select found.place
        from _schema_problems(
            _excluded_problems.root,
            _excluded_problems.schema -> 'not',
            _excluded_problems.given,
            _excluded_problems.depth + 1
        ) as found
    );
end;

comment on function _excluded_problems(jsonb, jsonb, jsonb[], integer) is
    'Which values fit what a schema excludes.';
