-- _task_is_open: whether a step of the task is not over. Looks from the last step backwards, where
-- an open one is found at once while a task runs in order.

create function _task_is_open(task_id bigint)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
begin
    return exists (
        select
        from (
            select step.processed
            from workflow_steps step
            where step.task_id = _task_is_open.task_id
            order by step.workflow_step_id desc
            offset 0
        ) step
        where not step.processed
    );
end;
$$;

comment on function _task_is_open(bigint) is
    'Whether a task has steps that are not over.';
