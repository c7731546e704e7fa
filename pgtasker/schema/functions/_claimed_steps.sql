-- _claimed_steps: what a runner gets to know of the steps it just claimed.
--
-- The results of a parent are in the transition that finished it, which is its most recent one.

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
        _dependency_results(step.workflow_step_id),
        named_step.timeout_seconds,
        task.tags,
        coalesce(task.priority, named_step.priority)
    from unnest(_claimed_steps.claim_ids) with ordinality as given (claim_id, place)
    join step_claims claim
        on claim.runner_id = _claimed_steps.runner_id and claim.claim_id = given.claim_id
    join workflow_steps step on step.workflow_step_id = claim.workflow_step_id
    join tasks task on task.task_id = step.task_id
    join named_steps named_step on named_step.named_step_id = step.named_step_id
    join named_tasks named_task on named_task.named_task_id = task.named_task_id
    order by given.place;
end;
$$;

comment on function _claimed_steps(bigint, bigint[]) is
    'All that a runner needs to execute the steps of these claims.';
