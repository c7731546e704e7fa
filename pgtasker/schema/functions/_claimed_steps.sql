-- _claimed_steps: what a runner gets to know of the steps it just claimed.
--
-- The results of a parent are in the transition that finished it, its most recent one; they are
-- null for a parent that was skipped, or resolved without results.

create function _claimed_steps(runner_id bigint, claim_ids bigint[])
returns setof claimed_step
language plpgsql
stable
set search_path from current
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
begin
    return query
    select
        step.workflow_step_id,
        step.claim_id,
        step.task_id,
        named_task.namespace,
        named_task.name,
        named_task.version,
        named_step.name,
        named_step.handler,
        step.attempts,
        named_step.retry_limit,
        task.context,
        named_step.inputs,
        parents.results,
        named_step.timeout_seconds,
        task.tags,
        coalesce(task.priority, named_step.priority)
    from unnest(_claimed_steps.claim_ids) with ordinality as given (claim_id, place)
    cross join lateral (
        select found.workflow_step_id
        from step_claims found
        where found.runner_id = _claimed_steps.runner_id and found.claim_id = given.claim_id
        offset 0
    ) claim
    cross join lateral (
        select found.*
        from workflow_steps found
        where found.workflow_step_id = claim.workflow_step_id
        offset 0
    ) step
    cross join lateral (
        select found.*
        from tasks found
        where found.task_id = step.task_id
        offset 0
    ) task
    cross join lateral (
        select found.*
        from named_steps found
        where found.named_step_id = step.named_step_id
        offset 0
    ) named_step
    cross join lateral (
        select found.namespace, found.name, found.version
        from named_tasks found
        where found.named_task_id = task.named_task_id
        offset 0
    ) named_task
    cross join lateral (
        select coalesce(jsonb_object_agg(parent_name.name, finish.results), '{}') as results
        from workflow_step_edges edge
        cross join lateral (
            select found.workflow_step_id, found.named_step_id, found.transition_count
            from workflow_steps found
            where found.workflow_step_id = edge.parent_step_id
            offset 0
        ) parent
        cross join lateral (
            select found.name
            from named_steps found
            where found.named_step_id = parent.named_step_id
            offset 0
        ) parent_name
        cross join lateral (
            select found.results
            from workflow_step_transitions found
            where found.workflow_step_id = parent.workflow_step_id
                and found.sort_key = parent.transition_count
            offset 0
        ) finish
        where edge.child_step_id = step.workflow_step_id
    ) parents
    order by given.place;
end;
$$;

comment on function _claimed_steps(bigint, bigint[]) is
    'All that a runner needs to execute the steps of these claims.';
