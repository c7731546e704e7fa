-- _is_id: whether a JSON value can be an id.

create function _is_id(value jsonb)
returns boolean
language sql
immutable
return case
    when jsonb_typeof(value) = 'number' then
        scale(value::numeric) = 0 and abs(value::numeric) <= 9223372036854775807
    else false
end;

comment on function _is_id(jsonb) is
    'Whether a JSON value is a whole number that fits a bigint.';
