-- _step_is_in_process: the flag in_process of a step.

create function _step_is_in_process(state text)
returns boolean
language sql
immutable
return state = 'in_progress';

comment on function _step_is_in_process(text) is
    'Whether a runner holds a step in this state.';
