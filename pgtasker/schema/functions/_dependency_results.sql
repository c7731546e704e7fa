-- _dependency_results: results of the parents by name; null for a parent that was skipped or
-- resolved without results.

create function _dependency_results(workflow_step_id bigint)
returns jsonb
language plpgsql
stable
set search_path from current
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
begin
    return (
        select coalesce(jsonb_object_agg(named_step.name, finish.results), '{}')
        from workflow_step_edges edge
        join workflow_steps parent on parent.workflow_step_id = edge.parent_step_id
        join named_steps named_step on named_step.named_step_id = parent.named_step_id
        join workflow_step_transitions finish
            on finish.workflow_step_id = parent.workflow_step_id
            and finish.sort_key = parent.transition_count
        where edge.child_step_id = _dependency_results.workflow_step_id
    );
end;
$$;

comment on function _dependency_results(bigint) is
    'Results of the parents of a step, by parent name.';
