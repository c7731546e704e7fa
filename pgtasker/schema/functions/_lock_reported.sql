-- _lock_reported: the first half of the lock order for a report of attempts, see _lock_steps; and
-- what is seen under these locks. freed: the steps that wait for nothing but what completes, with
-- their tasks and names; are_held: all of it completes under the claims that are held. `+ 0` is for
-- the plan, see _project_step_transitions.

create function _lock_reported(
    step_ids bigint[],
    completed_ids bigint[],
    completed_claims bigint[],
    out freed bigint[],
    out task_ids bigint[],
    out named_ids bigint[],
    out are_held boolean
)
returns record
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
begin
    with freeing as materialized (
        select edge.child_step_id + 0 as child_step_id, count(*) as parents
        from workflow_step_edges edge
        where edge.parent_step_id = any (_lock_reported.completed_ids)
        group by edge.child_step_id + 0
    ),
    locked as (
        select
            step.workflow_step_id, step.task_id, step.named_step_id, step.claim_id,
            step.unsatisfied_parents, step.state
        from workflow_steps step
        where step.workflow_step_id = any (
            _lock_reported.step_ids || array(select freeing.child_step_id from freeing)
        )
        order by step.workflow_step_id
        for update
    ),
    seen as (
        select
            step.workflow_step_id, step.task_id, step.named_step_id,
            step.state = 'pending' and step.unsatisfied_parents = freeing.parents as is_freed,
            step.claim_id = given.claim_id as is_held
        from locked step
        left join freeing on freeing.child_step_id = step.workflow_step_id
        left join unnest(_lock_reported.completed_ids, _lock_reported.completed_claims)
            as given (workflow_step_id, claim_id)
            on given.workflow_step_id = step.workflow_step_id
    )
    select
        array_agg(seen.workflow_step_id) filter (where seen.is_freed),
        array_agg(seen.task_id) filter (where seen.is_freed),
        array_agg(seen.named_step_id) filter (where seen.is_freed),
        count(*) filter (where seen.is_held) = cardinality(_lock_reported.completed_ids)
    into freed, task_ids, named_ids, are_held
    from seen;
end;
$$;

comment on function _lock_reported(bigint[], bigint[], bigint[]) is
    'Lock what a report is about, and see what it is about to free.';
