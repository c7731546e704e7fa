-- _step_satisfies_children: a cancelled step is processed too, but never lets its children run.

create function _step_satisfies_children(state text)
returns boolean
language sql
immutable
return state in ('complete', 'resolved_manually', 'skipped');

comment on function _step_satisfies_children(text) is
    'Whether a step in this state lets its children run.';
