-- get_task_history: the log of one task and its steps, in order.
--
-- Order within an entity is by sort_key; between entities by time, for the reader.

create function get_task_history(task_id bigint)
returns table (
    created_at timestamptz,
    entity text,
    workflow_step_id bigint,
    name text,
    from_state text,
    to_state text,
    sort_key integer,
    actor text,
    attempts integer,
    attempt_counts boolean,
    due_at timestamptz,
    reason text,
    results jsonb,
    error jsonb,
    metadata jsonb
)
language plpgsql
stable
set search_path from current
as $$
begin
    perform _require_task(get_task_history.task_id);
    return query
    select
        entry.created_at,
        entry.entity,
        entry.workflow_step_id,
        entry.name,
        entry.from_state,
        entry.to_state,
        entry.sort_key,
        entry.actor,
        entry.attempts,
        entry.attempt_counts,
        entry.due_at,
        entry.reason,
        entry.results,
        entry.error,
        entry.metadata
    from _task_log(get_task_history.task_id) entry
    order by
        max(entry.created_at) over (
            partition by entry.workflow_step_id
            order by entry.sort_key
        ),
        entry.workflow_step_id nulls first,
        entry.sort_key;
end;
$$;

comment on function get_task_history(bigint) is
    'The log of one task and its steps: what happened, when, by whom and why.';
