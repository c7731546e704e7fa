-- _task_is_complete: the flag complete of a task; error is not complete, it wants attention.

create function _task_is_complete(state text)
returns boolean
language sql
immutable
return state in ('complete', 'resolved_manually', 'cancelled');

comment on function _task_is_complete(text) is
    'Whether a task in this state is over for good.';
