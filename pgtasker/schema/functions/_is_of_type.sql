-- _is_of_type: whether a JSON value is of the type, or of one of the types, that JSON Schema names;
-- 1.0 is an integer.

create function _is_of_type(value jsonb, types jsonb)
returns boolean
language sql
immutable
return types ? jsonb_typeof(value) or case
    when jsonb_typeof(value) = 'number' and types ? 'integer' then
        value::numeric = trunc(value::numeric)
    else false
end;

comment on function _is_of_type(jsonb, jsonb) is
    'Whether a JSON value is of one of these types.';
