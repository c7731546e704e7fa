-- _check_delay: a delay in seconds is not negative, and within what a calendar can hold.

create function _check_delay(parameter text, seconds numeric)
returns void
language plpgsql
immutable
set search_path from current
as $$
begin
    if _check_delay.seconds not between 0 and 3155760000 then
        perform _refuse(
            format(
                '%s must be 0 seconds to 100 years, not %s seconds',
                _check_delay.parameter,
                _check_delay.seconds
            ),
            'It is the time from now until the step may run again.',
            format('Pass a %s in that range.', _check_delay.parameter)
        );
    end if;
end;
$$;

comment on function _check_delay(text, numeric) is
    'Refuse a delay that is negative or endless.';
