-- _lock_steps: the first half of the lock order. All the steps that a writer reports, and the
-- children of those that may finish, in one ascending pass, before it touches the log. Returns how
-- many.

create function _lock_steps(step_ids bigint[], finishing_ids bigint[])
returns integer
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_nestloop = on
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    v_locked integer;
begin
    perform
    from workflow_steps step
    where step.workflow_step_id = any (
        array(
            select unnest(_lock_steps.step_ids)
            union all
            select edge.child_step_id
            from unnest(_lock_steps.finishing_ids) as given (workflow_step_id)
            cross join lateral (
                select found.child_step_id
                from workflow_step_edges found
                where found.parent_step_id = given.workflow_step_id
                offset 0
            ) edge
        )
    )
    order by step.workflow_step_id
    for update;
    get diagnostics v_locked = row_count;
    return v_locked;
end;
$$;

comment on function _lock_steps(bigint[], bigint[]) is
    'Lock steps, and the children of those that may finish, in ascending order.';
