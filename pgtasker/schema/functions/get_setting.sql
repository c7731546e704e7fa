-- get_setting: what is in force now.

create function get_setting(name text)
returns text
language plpgsql
stable
set search_path from current
as $$
declare
    v_value text := (
        select setting.value from settings setting where setting.name = get_setting.name
    );
begin
    if v_value is null then
        perform _refuse(
            format('unknown setting %s', coalesce(quote_literal(get_setting.name), 'null')),
            format(
                'The settings are %s.',
                (select string_agg(setting.name, ', ' order by setting.name) from settings setting)
            ),
            'Use one of these names.'
        );
    end if;
    return v_value;
end;
$$;

comment on function get_setting(text) is
    'The value of a setting.';
