-- _rollup_days: how long the hours of the rollups are kept.

create function _rollup_days()
returns integer
language plpgsql
stable
set search_path from current
as $$
begin
    return (
        select least(setting.value::integer, 36500)
        from settings setting
        where setting.name = 'rollup_days'
    );
end;
$$;

comment on function _rollup_days() is
    'How many days of hourly rollups are kept.';
