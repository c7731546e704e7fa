-- _step_is_processed: the flag processed of a step.

create function _step_is_processed(state text)
returns boolean
language sql
immutable
return state in ('complete', 'resolved_manually', 'skipped', 'cancelled');

comment on function _step_is_processed(text) is
    'Whether a step in this state is over for good.';
