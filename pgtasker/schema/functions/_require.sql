-- _require: a parameter that has no default must not be null. Volatile: to
-- refuse is an effect, which no planner may bring about or leave out.

create function _require(parameter text, given boolean)
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    if not _require.given then
        perform _refuse(
            format('%s must not be null or empty', _require.parameter),
            format('The parameter %s is required.', _require.parameter),
            format('Pass a value for %s.', _require.parameter),
            'null_value_not_allowed'
        );
    end if;
end;
$$;

comment on function _require(text, boolean) is
    'Refuse a missing value of a parameter.';
