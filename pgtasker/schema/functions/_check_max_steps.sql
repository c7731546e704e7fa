-- _check_max_steps: how many steps one call may claim; returned if it makes sense.

create function _check_max_steps(max_steps integer)
returns integer
language plpgsql
immutable
set search_path from current
as $$
begin
    if max_steps is null or max_steps not between 0 and 10000 then
        perform _refuse(
            format('max_steps must be from 0 to 10000, not %s', coalesce(max_steps::text, 'null')),
            'It is the number of steps that the runner can take now.',
            'Ask for as many steps as the runner has free slots.'
        );
    end if;
    return max_steps;
end;
$$;

comment on function _check_max_steps(integer) is
    'Refuse a batch size that makes no sense.';
