-- _check_context: a task's context, if it is a JSON object of bounded size.

create function _check_context(parameter text, context jsonb)
returns jsonb
language plpgsql
stable
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_bytes integer;
begin
    if _check_context.context is null or jsonb_typeof(_check_context.context) <> 'object' then
        perform _refuse(
            format(
                '%s must be a JSON object, not %s',
                _check_context.parameter,
                coalesce(jsonb_typeof(_check_context.context), 'null')
            ),
            format('Given was %s.', coalesce(left(_check_context.context::text, 200), 'null')),
            'Pass an object, for example {"order_id": 7}; an empty one is {}.'
        );
    end if;
    v_bytes := _check_payload(_check_context.parameter, _check_context.context);
    return _check_context.context;
end;
$$;

comment on function _check_context(text, jsonb) is
    'Refuse a context that is no JSON object or too large.';
