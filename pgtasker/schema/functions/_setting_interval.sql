-- _setting_interval: a setting as the engine uses it.

create function _setting_interval(name text)
returns interval
language plpgsql
stable
set search_path from current
as $$
begin
    return (
        select setting.value::interval
        from settings setting
        where setting.name = _setting_interval.name
    );
end;
$$;

comment on function _setting_interval(text) is
    'The value of a setting that is a duration.';
