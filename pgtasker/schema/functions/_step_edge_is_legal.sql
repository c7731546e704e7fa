-- _step_edge_is_legal: the state machine of a step.

create function _step_edge_is_legal(from_state text, to_state text)
returns boolean
language sql
immutable
return case from_state
    when 'pending' then
        to_state in ('in_progress', 'error', 'cancelled', 'skipped', 'resolved_manually')
    when 'in_progress' then
        to_state in ('complete', 'error', 'cancelled', 'resolved_manually', 'pending')
    when 'error' then to_state in ('pending', 'cancelled', 'resolved_manually')
    else false
end;

comment on function _step_edge_is_legal(text, text) is
    'Whether a step may go from one state to the other.';
