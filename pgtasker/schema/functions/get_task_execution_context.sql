-- get_task_execution_context: how one task stands as a whole.

create function get_task_execution_context(task_id bigint)
returns setof task_execution_contexts
language plpgsql
stable
set search_path from current
as $$
begin
    perform _require_task(get_task_execution_context.task_id);
    return query
    select context.*
    from task_execution_contexts context
    where context.task_id = get_task_execution_context.task_id;
end;
$$;

comment on function get_task_execution_context(bigint) is
    'How one task stands, what that means, and what it waits for.';
