-- _schema_pattern: a pattern of a JSON Schema, which is one of JavaScript, for PostgreSQL's ~ under
-- collate "C": the dot spares ends of lines, \b is a word boundary, \x41 has two digits, and \d, \w
-- and \s mean ASCII. Still different: \s knows no other spaces, a bracket opens with [ or ] only if
-- escaped, and \p, \u{...}, named groups and counts above 255 are refused as no pattern.

create function _schema_pattern(pattern text)
returns text
language sql
immutable
return '***:' || coalesce(
    (
        select string_agg(
            case token.found[1]
                when '.' then '[^\n\r]'
                when '\b' then '\y'
                when '\B' then '\Y'
                else token.found[1]
            end,
            ''
            order by token.place
        )
        from regexp_matches(
            regexp_replace(
                pattern,
                '(?<!\\)((?:\\\\)*)\\x([0-9A-Fa-f]{2})',
                '\1\\u00\2',
                'g'
            ),
            '\\.|\[\^?(?:\\.|[^\]\\])*\]|.',
            'g'
        ) with ordinality as token (found, place)
    ),
    ''
);

comment on function _schema_pattern(text) is
    'A regular expression of a JSON Schema as PostgreSQL writes it.';
