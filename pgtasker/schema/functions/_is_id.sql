-- _is_id: whether a JSON value can be an id.

create function _is_id(value jsonb)
returns boolean
language sql
immutable
return case
    when jsonb_typeof(value) = 'number' then
        value::numeric between -9223372036854775808 and 9223372036854775807
        and value::numeric = trunc(value::numeric)
    else false
end;

comment on function _is_id(jsonb) is
    'Whether a JSON value is a whole number that fits a bigint.';
