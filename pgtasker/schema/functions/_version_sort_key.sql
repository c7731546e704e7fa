-- _version_sort_key: semantic versions in their order of precedence, as an array that sorts so.
--
-- A release ends in {2}, a pre-release goes on with {1, identifiers...}; numbers are padded and
-- sort below words. Null when the text is no semantic version. Build metadata has no precedence.

create function _version_sort_key(version text)
returns text[]
language sql
immutable
begin atomic
    select
        array[lpad(part[1], 20, '0'), lpad(part[2], 20, '0'), lpad(part[3], 20, '0')]
        || case
            when part[4] is null then array['2']
            else array['1'] || (
                select array_agg(
                    case
                        when word.word ~ '^[0-9]+$' then '0' || lpad(word.word, 64, '0')
                        else '1' || word.word
                    end
                    order by word.place
                )
                from string_to_table(part[4], '.') with ordinality as word (word, place)
            )
        end
    from regexp_match(
        version,
        '^(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})'
        '(?:-([0-9A-Za-z-]{1,64}(?:\.[0-9A-Za-z-]{1,64})*))?'
        '(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$'
    ) as part
    where part is not null;
end;

comment on function _version_sort_key(text) is
    'A key that sorts semantic versions by precedence; null for any other text.';
