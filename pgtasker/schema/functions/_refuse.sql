-- _refuse: the one way to say no. Three levels: what was wrong, the facts, what to do.

create function _refuse(
    message text,
    detail text,
    hint text,
    code text default 'invalid_parameter_value'
)
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    raise exception using
        message = _refuse.message,
        detail = coalesce(_refuse.detail, ''),
        hint = coalesce(_refuse.hint, ''),
        errcode = _refuse.code;
end;
$$;

comment on function _refuse(text, text, text, text) is
    'Raise an error with message, detail and hint.';
