-- _claimed_steps: what a runner gets to know of the steps it just claimed, in the order of claims;
-- each is an object with the fields of claimed_step, and all are one array, as JSON text: as json
-- it would be parsed once more, for nothing where the client does so anyway.
--
-- The results of a parent are in the transition that finished it, its most recent one; they are
-- null for a parent that was skipped, or resolved without results.

create function _claimed_steps(step_ids bigint[])
returns text
language plpgsql
stable
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
    v_claimed text;
begin
    if _claimed_steps.step_ids = '{}' then
        return '[]';
    end if;
    with step as materialized (
        select found.workflow_step_id, found.claim_id, found.task_id, found.named_step_id,
            found.attempts
        from workflow_steps found
        where found.workflow_step_id = any (_claimed_steps.step_ids)
    ),
    edge as materialized (
        select found.child_step_id, found.parent_step_id
        from workflow_step_edges found
        where found.child_step_id = any (_claimed_steps.step_ids)
    ),
    parent as materialized (
        select found.workflow_step_id, found.named_step_id, found.transition_count
        from workflow_steps found
        where found.workflow_step_id = any (array(select edge.parent_step_id from edge))
    ),
    parents as (
        select edge.child_step_id, json_object_agg(parent_step.name, finish.results) as results
        from edge
        join parent on parent.workflow_step_id = edge.parent_step_id
        join named_steps parent_step
            on parent_step.named_step_id = any (array(select parent.named_step_id from parent))
            and parent_step.named_step_id + 0 = parent.named_step_id
        cross join lateral (
            select found.results
            from workflow_step_transitions found
            where found.workflow_step_id = parent.workflow_step_id
                and found.sort_key = parent.transition_count
            offset 0
        ) finish
        group by edge.child_step_id
    ),
    declared as materialized (
        select
            named_step.named_step_id,
            named_step.priority,
            ltrim(
                json_build_object(
                    'namespace', named_task.namespace,
                    'workflow_name', named_task.name,
                    'version', named_task.version,
                    'step_name', named_step.name,
                    'handler', named_step.handler,
                    'retry_limit', named_step.retry_limit,
                    'inputs', named_step.inputs,
                    'timeout', named_step.timeout_seconds
                )::text,
                '{'
            ) as fields
        from named_steps named_step
        cross join lateral (
            select found.namespace, found.name, found.version
            from named_tasks found
            where found.named_task_id = named_step.named_task_id
            offset 0
        ) named_task
        where named_step.named_step_id = any (array(select step.named_step_id from step))
    )
    select
        string_agg(
            concat(
                '{"workflow_step_id":', step.workflow_step_id,
                ',"claim_id":', step.claim_id,
                ',"task_id":', step.task_id,
                ',"attempt":', step.attempts,
                ',"context":', task.context,
                ',"dependency_results":', coalesce(parents.results, '{}'),
                ',"tags":', array_to_json(task.tags),
                ',"priority":', coalesce(task.priority, declared.priority),
                ',', declared.fields
            ),
            ','
            order by step.claim_id
        )
    into v_claimed
    from step
    join tasks task
        on task.task_id = any (array(select step.task_id from step))
        and task.task_id + 0 = step.task_id
    join declared on declared.named_step_id = step.named_step_id
    left join parents on parents.child_step_id = step.workflow_step_id;
    return concat('[', v_claimed, ']');
end;
$$;

comment on function _claimed_steps(bigint[]) is
    'All that a runner needs to execute these steps, which it just claimed.';
