-- _is_delay: whether a JSON value can be a delay in seconds; null and missing can.

create function _is_delay(value jsonb)
returns boolean
language sql
immutable
return case coalesce(jsonb_typeof(value), 'null')
    when 'null' then true
    when 'number' then value::numeric between 0 and 3155760000
    else false
end;

comment on function _is_delay(jsonb) is
    'Whether a JSON value is a delay in seconds, or null.';
