-- _failures_after: a step that failed for good, or was cancelled, blocks its descendants.

create function _failures_after(state text, due_at timestamptz)
returns integer
language sql
immutable
return case when state = 'cancelled' or (state = 'error' and due_at is null) then 1 else 0 end;

comment on function _failures_after(text, timestamptz) is
    '1 for a step that blocks its descendants, else 0; an error that is due will be retried.';
