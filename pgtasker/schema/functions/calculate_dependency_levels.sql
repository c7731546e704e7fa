-- calculate_dependency_levels: how deep each step of a task stands in its graph: 0 for a root, else
-- one more than the deepest of its parents. Steps of one level never wait for each other.
--
-- Counted once, when the workflow was registered.

create function calculate_dependency_levels(task_id bigint)
returns table (workflow_step_id bigint, name text, dependency_level integer)
language plpgsql
stable
set search_path from current
set enable_seqscan = off
as $$
begin
    perform _require_task(calculate_dependency_levels.task_id);
    return query
    select step.workflow_step_id, named_step.name, named_step.dependency_level
    from workflow_steps step
    join named_steps named_step on named_step.named_step_id = step.named_step_id
    where step.task_id = calculate_dependency_levels.task_id
    order by named_step.dependency_level, step.workflow_step_id;
end;
$$;

comment on function calculate_dependency_levels(bigint) is
    'The level of each step of a task: 0 for a root, else one more than its deepest parent.';
