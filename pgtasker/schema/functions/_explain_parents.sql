-- _explain_parents: the reasons that lie in other steps: a parent that is not finished, or a
-- failure further up that keeps it from ever finishing by itself.

create function _explain_parents(step workflow_steps)
returns table (reason text, explanation text, details jsonb)
language plpgsql
stable
set search_path from current
set enable_hashjoin = off
set enable_nestloop = on
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
begin
    return query
    with recursive ancestor (workflow_step_id) as (
        select edge.parent_step_id
        from workflow_step_edges edge
        where edge.child_step_id = step.workflow_step_id
        union
        select edge.parent_step_id
        from ancestor
        cross join lateral (
            select found.parent_step_id
            from workflow_step_edges found
            where found.child_step_id = ancestor.workflow_step_id
            offset 0
        ) edge
    ),
    open_ancestor as (
        select
            other.workflow_step_id,
            named_step.name,
            other.state,
            _failures_after(other.state, other.due_at) = 1 as is_failed,
            exists (
                select
                from workflow_step_edges edge
                where edge.parent_step_id = other.workflow_step_id
                    and edge.child_step_id = step.workflow_step_id
            ) as is_parent
        from ancestor
        cross join lateral (
            select found.workflow_step_id, found.named_step_id, found.state, found.due_at
            from workflow_steps found
            where found.workflow_step_id = ancestor.workflow_step_id
            offset 0
        ) other
        join named_steps named_step on named_step.named_step_id = other.named_step_id
        where not _step_satisfies_children(other.state)
    )
    select
        kind.reason,
        kind.lead || string_agg(
            format('%s (%s, %s)', given.name, given.workflow_step_id, given.state),
            ', '
            order by given.workflow_step_id
        ) || '.',
        jsonb_build_object(
            'steps',
            jsonb_agg(
                jsonb_build_object(
                    'workflow_step_id', given.workflow_step_id,
                    'name', given.name,
                    'state', given.state
                )
                order by given.workflow_step_id
            )
        )
    from open_ancestor given
    join (
        values
            (1, 'blocked_by_failure', 'It waits for what failed or was cancelled for good: '),
            (2, 'waiting_for_parents', 'It waits for its parents: ')
    ) as kind (rank, reason, lead)
        on (kind.rank = 1 and given.is_failed) or (kind.rank = 2 and given.is_parent)
    group by kind.rank, kind.reason, kind.lead
    order by kind.rank;
end;
$$;

comment on function _explain_parents(workflow_steps) is
    'What a step waits for among its ancestors.';
