-- _is_pattern: whether PostgreSQL can use a pattern of a JSON Schema.

create function _is_pattern(pattern text)
returns boolean
language plpgsql
immutable
set search_path from current
as $$
begin
    return '' collate "C" ~ _schema_pattern(_is_pattern.pattern) is not null;
exception
    when invalid_regular_expression then
        return false;
end;
$$;

comment on function _is_pattern(text) is
    'Whether a text is a regular expression.';
