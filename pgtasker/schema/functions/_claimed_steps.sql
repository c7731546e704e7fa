-- _claimed_steps: what a runner gets to know of the steps it just claimed, in the order of claims;
-- each is an object with the fields of claimed_step.
--
-- The results of a parent are in the transition that finished it, its most recent one; they are
-- null for a parent that was skipped, or resolved without results.

create function _claimed_steps(step_ids bigint[])
returns json
language plpgsql
stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = on
set enable_nestloop = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    v_claimed json;
begin
    if _claimed_steps.step_ids = '{}' then
        return json '[]';
    end if;
    with step as materialized (
        select
            found.workflow_step_id, found.claim_id, found.task_id, found.named_step_id,
            found.attempts
        from workflow_steps found
        where found.workflow_step_id = any (_claimed_steps.step_ids)
    ),
    edge as materialized (
        select found.child_step_id, found.parent_step_id
        from workflow_step_edges found
        where found.child_step_id = any (_claimed_steps.step_ids)
    ),
    parents as (
        select edge.child_step_id, jsonb_object_agg(parent_step.name, finish.results) as results
        from edge
        join workflow_steps parent
            on parent.workflow_step_id = any (array(select edge.parent_step_id from edge))
            and parent.workflow_step_id + 0 = edge.parent_step_id
        join named_steps parent_step on parent_step.named_step_id = parent.named_step_id
        cross join lateral (
            select found.results
            from workflow_step_transitions found
            where found.workflow_step_id = parent.workflow_step_id
                and found.sort_key = parent.transition_count
            offset 0
        ) finish
        group by edge.child_step_id
    )
    select coalesce(json_agg(claimed), '[]')
    into v_claimed
    from (
        select
            step.workflow_step_id,
            step.claim_id,
            step.task_id,
            named_task.namespace,
            named_task.name as workflow_name,
            named_task.version,
            named_step.name as step_name,
            named_step.handler,
            step.attempts as attempt,
            named_step.retry_limit,
            task.context,
            named_step.inputs,
            coalesce(parents.results, '{}') as dependency_results,
            named_step.timeout_seconds as timeout,
            task.tags,
            coalesce(task.priority, named_step.priority) as priority
        from step
        join tasks task
            on task.task_id = any (array(select step.task_id from step))
            and task.task_id + 0 = step.task_id
        join named_steps named_step
            on named_step.named_step_id = any (array(select step.named_step_id from step))
            and named_step.named_step_id + 0 = step.named_step_id
        join named_tasks named_task
            on named_task.named_task_id + 0 = task.named_task_id
        left join parents on parents.child_step_id = step.workflow_step_id
        order by step.claim_id
    ) claimed;
    return v_claimed;
end;
$$;

comment on function _claimed_steps(bigint[]) is
    'All that a runner needs to execute these steps, which it just claimed.';
