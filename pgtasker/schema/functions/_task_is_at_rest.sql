-- _task_is_at_rest: nothing more happens by itself: the task is over, or in error and wants
-- attention.

create function _task_is_at_rest(state text)
returns boolean
language sql
immutable
return _task_is_complete(state) or state = 'error';

comment on function _task_is_at_rest(text) is
    'Whether a task in this state stays in it until somebody does something.';
