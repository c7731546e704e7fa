-- _attempts_after: the count of attempts in this round follows from the log alone.

create function _attempts_after(
    attempts integer,
    from_state text,
    to_state text,
    attempt_counts boolean
)
returns integer
language sql
immutable
return case
    when to_state = 'in_progress' then attempts + 1
    when attempt_counts or to_state <> 'pending' then attempts
    when from_state = 'in_progress' then attempts - 1
    else 0
end;

comment on function _attempts_after(integer, text, text, boolean) is
    'Attempts used up in this round after a transition, from those before it.';
