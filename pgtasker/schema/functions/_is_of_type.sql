-- _is_of_type: whether a JSON value is of one of the types of a JSON Schema; 1.0 is an integer.

create function _is_of_type(value jsonb, types text[])
returns boolean
language sql
immutable
return jsonb_typeof(value) = any (types) or case
    when jsonb_typeof(value) = 'number' and 'integer' = any (types) then
        value::numeric = trunc(value::numeric)
    else false
end;

comment on function _is_of_type(jsonb, text[]) is
    'Whether a JSON value is of one of these types.';
