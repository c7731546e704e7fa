-- _create_steps: steps and edges of new tasks; steps without parents go to the queue. Returns how
-- many those are.

create function _create_steps(workflow named_tasks, task_ids bigint[])
returns integer
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = on
set enable_nestloop = off
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_roots bigint[];
begin
    with step as materialized (
        -- Task by task, parents before children: the order of ids is the order of claims.
        select
            nextval('workflow_steps_workflow_step_id_seq') as workflow_step_id,
            new_task.task_id,
            template.named_step_id,
            template.parent_count
        from unnest(_create_steps.task_ids) with ordinality as new_task (task_id, place)
        cross join (
            select named_step.named_step_id, named_step.parent_count, named_step.position
            from named_steps named_step
            where named_step.named_task_id = workflow.named_task_id
                and named_step.revision = workflow.revision
        ) template
        order by new_task.place, template.position
    ),
    created as (
        insert into workflow_steps (workflow_step_id, task_id, named_step_id, unsatisfied_parents)
        select step.workflow_step_id, step.task_id, step.named_step_id, step.parent_count
        from step
    ),
    linked as (
        insert into workflow_step_edges (parent_step_id, child_step_id)
        select parent.workflow_step_id, child.workflow_step_id
        from step parent
        join named_step_edges edge
            on edge.parent_named_step_id = any (
                array(
                    select named_step.named_step_id
                    from named_steps named_step
                    where named_step.named_task_id = workflow.named_task_id
                        and named_step.revision = workflow.revision
                )
            )
            and edge.parent_named_step_id + 0 = parent.named_step_id
        join step child
            on child.task_id = parent.task_id
            and child.named_step_id = edge.child_named_step_id
    )
    select array_agg(step.workflow_step_id)
    into v_roots
    from step
    where step.parent_count = 0;
    return _enqueue(v_roots);
end;
$$;

comment on function _create_steps(named_tasks, bigint[]) is
    'Create the steps and edges of new tasks and enqueue the roots.';
