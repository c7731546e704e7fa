-- get_task_execution_context_batch: how several tasks stand, in one call.
--
-- Ids that name no task have no rows: a list that was read a moment ago is no mistake.

create function get_task_execution_context_batch(task_ids bigint[])
returns setof task_execution_contexts
language plpgsql
stable
set search_path from current
as $$
begin
    perform _require('task_ids', get_task_execution_context_batch.task_ids is not null);
    return query
    select context.*
    from task_execution_contexts context
    where context.task_id = any (get_task_execution_context_batch.task_ids)
    order by context.task_id;
end;
$$;

comment on function get_task_execution_context_batch(bigint[]) is
    'How several tasks stand, what that means, and what they wait for.';
