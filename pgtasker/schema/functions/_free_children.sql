-- _free_children: finished parents count down their children; returns those that wait for none now.
--
-- The children are locked by whoever reported the parents.

create function _free_children(finished_ids bigint[])
returns table (workflow_step_id bigint, task_id bigint)
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = on
set enable_nestloop = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
begin
    if _free_children.finished_ids = '{}' then
        return;
    end if;
    return query
    with freeing as (
        select edge.child_step_id, count(*)::integer as parents
        from workflow_step_edges edge
        where edge.parent_step_id = any (_free_children.finished_ids)
        group by edge.child_step_id
    ),
    freed as (
        update workflow_steps child
        set unsatisfied_parents = child.unsatisfied_parents - freeing.parents
        from freeing
        where child.workflow_step_id = any (array(select freeing.child_step_id from freeing))
            and child.workflow_step_id + 0 = freeing.child_step_id
        returning child.workflow_step_id, child.task_id, child.unsatisfied_parents, child.state
    )
    select freed.workflow_step_id, freed.task_id
    from freed
    where freed.unsatisfied_parents = 0 and freed.state = 'pending';
end;
$$;

comment on function _free_children(bigint[]) is
    'Count finished parents down; returns the children that wait for no parent any more.';
