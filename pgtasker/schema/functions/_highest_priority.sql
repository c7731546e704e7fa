-- _highest_priority: of some steps, the highest priority under which one would enter the queue.

create function _highest_priority(step_ids bigint[])
returns integer
language plpgsql
stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_nestloop = on
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
begin
    return (
        select max(coalesce(task.priority, named_step.priority))
        from workflow_steps step
        cross join lateral (
            select found.priority
            from tasks found
            where found.task_id = step.task_id
            offset 0
        ) task
        cross join lateral (
            select found.priority
            from named_steps found
            where found.named_step_id = step.named_step_id
            offset 0
        ) named_step
        where step.workflow_step_id = any (_highest_priority.step_ids)
    );
end;
$$;

comment on function _highest_priority(bigint[]) is
    'The highest priority of some steps.';
