-- _check_payload: a payload above the limit is refused before it is stored anywhere. Returns its
-- size in bytes.

create function _check_payload(parameter text, payload jsonb)
returns integer
language plpgsql
stable
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_bytes integer := octet_length(_check_payload.payload::text);
    v_limit bigint := get_setting('payload_limit')::bigint;
begin
    if v_bytes > v_limit then
        perform _refuse(
            format(
                '%s has %s bytes, more than the limit of %s',
                _check_payload.parameter,
                v_bytes,
                v_limit
            ),
            'The setting payload_limit bounds every context, result and error.',
            'Store large data elsewhere and pass a reference to it, or raise payload_limit.',
            'program_limit_exceeded'
        );
    end if;
    return v_bytes;
end;
$$;

comment on function _check_payload(text, jsonb) is
    'Refuse a payload that is larger than the setting payload_limit.';
