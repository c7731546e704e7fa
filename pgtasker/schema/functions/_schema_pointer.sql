-- _schema_pointer: the place in its own document that a $ref names: # or #/$defs/Name, with ~1 for
-- a slash, ~0 for a tilde and %-escapes; null if it names another document, or nothing.

create function _schema_pointer(reference text)
returns text[]
language plpgsql
immutable
set search_path from current
as $$
declare
    v_plain text := reference;
begin
    if reference like '%\%%' then
        begin
            v_plain := convert_from(
                (
                    select string_agg(
                        case
                            when piece.found[1] like '\%__' then
                                decode(substr(piece.found[1], 2), 'hex')
                            else convert_to(piece.found[1], 'UTF8')
                        end,
                        ''
                        order by piece.place
                    )
                    from regexp_matches(reference, '%[0-9A-Fa-f]{2}|[^%]+|%', 'g')
                        with ordinality as piece (found, place)
                ),
                'UTF8'
            );
        exception
            when character_not_in_repertoire or untranslatable_character then
                return null;
        end;
    end if;
    if v_plain is null or v_plain !~ '^#(/|$)' then
        return null;
    end if;
    return array(
        select replace(replace(part.name, '~1', '/'), '~0', '~')
        from unnest((string_to_array(v_plain, '/'))[2:]) with ordinality as part (name, place)
        order by part.place
    );
end;
$$;

comment on function _schema_pointer(text) is
    'The keys that lead from the top of a schema to what a $ref names.';
