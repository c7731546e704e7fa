-- _task_edge_is_legal: the state machine of a task. A row that keeps the state pauses or resumes.

create function _task_edge_is_legal(from_state text, to_state text)
returns boolean
language sql
immutable
return case from_state
    when 'pending' then to_state in ('in_progress', 'cancelled', 'error')
    when 'in_progress' then to_state in ('complete', 'error', 'cancelled', 'pending')
    when 'error' then to_state in ('pending', 'resolved_manually', 'cancelled')
    else false
end;

comment on function _task_edge_is_legal(text, text) is
    'Whether a task may go from one state to the other.';
