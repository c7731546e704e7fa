-- set_setting: tune this install; takes effect with the next call of whoever reads the setting.
--
-- Locks the row of the setting.

create function set_setting(name text, value text)
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_kind text;
    v_valid boolean;
begin
    perform get_setting(set_setting.name);
    perform _require('value', set_setting.value is not null);
    select setting.kind
    into v_kind
    from settings setting
    where setting.name = set_setting.name;
    if v_kind = 'fixed' then
        perform _refuse(
            format('setting %s is fixed', quote_literal(set_setting.name)),
            'It was written when the schema was installed.',
            'Leave it as it is: the install depends on it.',
            'object_not_in_prerequisite_state'
        );
    end if;
    begin
        v_valid := case v_kind
            when 'integer' then set_setting.value::bigint between 1 and 1000000000
            when 'names' then
                length(set_setting.value) <= 2000 and set_setting.value !~ '[[:cntrl:]]'
            when 'age' then coalesce(
                nullif(set_setting.value, 'forever')::interval between '2 hours' and '100 years',
                true
            )
            else set_setting.value::interval between '1 ms' and '100 years'
        end;
    exception
        when data_exception then
            v_valid := false;
    end;
    if not v_valid then
        perform _refuse(
            format(
                '%s is no value for setting %s',
                quote_literal(set_setting.value),
                set_setting.name
            ),
            case v_kind
                when 'names' then format('%s takes names.', set_setting.name)
                when 'age' then
                    format('%s takes an interval, or the word forever.', set_setting.name)
                else format('%s takes a positive %s.', set_setting.name, v_kind)
            end,
            case v_kind
                when 'names' then 'Pass up to 2000 characters: names with commas between them.'
                when 'age' then 'Pass an interval of at least 2 hours, for example ''30 days''.'
                when 'integer' then 'Pass a whole number from 1 to 1000000000, as text.'
                else 'Pass an interval of at least 1 ms, for example ''30 s''.'
            end
        );
    end if;
    update settings setting
    set value = set_setting.value
    where setting.name = set_setting.name;
end;
$$;

comment on function set_setting(text, text) is
    'Change a setting; the value is checked.';
