-- get_step_transitive_dependencies: every step that must be over before this one can run, with what
-- it answered; the nearest first. Walks the edges of one task upwards, each step once per distance.

create function get_step_transitive_dependencies(workflow_step_id bigint)
returns setof step_dependency
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
    perform _require(
        'workflow_step_id',
        get_step_transitive_dependencies.workflow_step_id is not null
    );
    if not exists (
        select
        from workflow_steps step
        where step.workflow_step_id = get_step_transitive_dependencies.workflow_step_id
    ) then
        perform _refuse_unknown('step', get_step_transitive_dependencies.workflow_step_id);
    end if;
    return query
    with recursive reached (reached_id, distance) as (
        select get_step_transitive_dependencies.workflow_step_id, 0
        union
        select edge.parent_step_id, reached.distance + 1
        from reached
        join workflow_step_edges edge on edge.child_step_id = reached.reached_id
    )
    select
        step.workflow_step_id,
        named_step.name,
        step.state,
        step.processed,
        nearest.distance,
        finish.results
    from (
        select reached.reached_id, min(reached.distance) as distance
        from reached
        where reached.distance > 0
        group by reached.reached_id
    ) nearest
    join workflow_steps step on step.workflow_step_id = nearest.reached_id
    join named_steps named_step on named_step.named_step_id = step.named_step_id
    left join workflow_step_transitions finish
        on finish.workflow_step_id = step.workflow_step_id
        and finish.sort_key = step.transition_count
        and finish.to_state in ('complete', 'resolved_manually')
    order by nearest.distance, step.workflow_step_id;
end;
$$;

comment on function get_step_transitive_dependencies(bigint) is
    'Every step that this one waits for, directly or not, with its state and results.';
