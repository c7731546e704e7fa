-- _project_step_transitions: the log rules. New transitions become the state of their steps, or the
-- statement is refused: an illegal edge, a step twice, an unknown step, a forged from_state,
-- sort_key or count of attempts all fail to match the row that they must follow. In the same pass
-- the children of steps that finished count one parent less; one of them may start in the statement
-- that satisfies its last parent. What follows is gathered in it too: a batch of a hundred outcomes
-- is a handful of statements. Then the transitions take the place of those that were the most
-- recent, and claims begin.
--
-- `state` is always set: else each row would have the rules of generated columns parsed anew. Who
-- waits for parents holds no claim: one parent less leaves none. `+ 0` keeps an index by the child
-- from serving the order: on small tables it costs as much, and its plan would outlive that.

create function _project_step_transitions()
returns trigger
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
declare
    v_step_ids bigint[];
    v_satisfied bigint[];
    v_changes _step_changes;
    v_enqueued integer;
begin
    select
        array_agg(one.workflow_step_id),
        array_agg(one.workflow_step_id) filter (where _step_satisfies_children(one.to_state))
    into v_step_ids, v_satisfied
    from entered one;
    with freed as materialized (
        select edge.child_step_id + 0 as child_step_id, count(*)::integer as parents
        from workflow_step_edges edge
        where edge.parent_step_id = any (v_satisfied)
        group by edge.child_step_id + 0
    ),
    projected as (
        update workflow_steps step
        set
            state = coalesce(entered.to_state, step.state),
            transition_count = coalesce(entered.sort_key, step.transition_count),
            attempts = coalesce(entered.attempts, step.attempts),
            unsatisfied_parents = step.unsatisfied_parents - coalesce(freed.parents, 0),
            due_at = case when entered.to_state is null then step.due_at else entered.due_at end,
            last_attempted_at = case entered.to_state
                when 'in_progress' then entered.created_at else step.last_attempted_at end,
            last_failure_at = case entered.to_state
                when 'error' then entered.created_at else step.last_failure_at end,
            claim_id = case when entered.to_state = 'in_progress' then entered.claim_id end,
            runner_id = case when entered.to_state = 'in_progress' then entered.runner_id end
        from entered
        full join freed on freed.child_step_id = entered.workflow_step_id
        where step.workflow_step_id = any (
                v_step_ids || array(select freed.child_step_id from freed)
            )
            and step.workflow_step_id + 0 = coalesce(entered.workflow_step_id, freed.child_step_id)
            and (entered.to_state is null or (
                step.state = entered.from_state
                and step.transition_count = entered.sort_key - 1 and entered.most_recent
                and _step_edge_is_legal(entered.from_state, entered.to_state)
                and entered.attempts = _attempts_after(
                    step.attempts, entered.from_state, entered.to_state, entered.attempt_counts
                )
                and case
                    when entered.to_state = 'in_progress' then
                        step.unsatisfied_parents = coalesce(freed.parents, 0)
                        and entered.claim_id is not null and entered.runner_id is not null
                    when entered.to_state in ('skipped', 'pending') then
                        _definition_allows(step.named_step_id, entered.to_state, entered.attempts)
                    else true
                end
            ))
        returning
            step.workflow_step_id, step.task_id, step.due_at,
            step.processed or (step.state = 'error' and step.due_at is null) as is_end,
            entered.to_state is null and step.unsatisfied_parents = 0 and step.state = 'pending'
                as is_freed,
            entered.from_state, entered.to_state, entered.attempt_counts, entered.sort_key,
            step.claim_id, step.runner_id, freed.parents
    )
    select
        cardinality(v_step_ids) - count(to_state),
        array_agg(workflow_step_id) filter (where from_state <> 'in_progress' and parents is null),
        array_agg(task_id) filter (where to_state = 'in_progress'),
        array_agg(workflow_step_id) filter (where is_freed),
        array_agg(task_id) filter (where is_freed),
        array_agg(workflow_step_id) filter (where to_state = 'pending'
            or (to_state = 'error' and due_at is not null)),
        array_agg(workflow_step_id) filter (where 'error' in (from_state, to_state)
            or to_state = 'cancelled'),
        array_agg(task_id) filter (where from_state = 'in_progress' and is_end),
        array_agg(task_id) filter (where from_state <> 'in_progress'
            and (is_end or (from_state = 'error' and not attempt_counts))),
        array_agg(workflow_step_id) filter (where sort_key > 1),
        array_agg(sort_key - 1) filter (where sort_key > 1),
        array_agg(workflow_step_id) filter (where to_state = 'in_progress'),
        array_agg(claim_id) filter (where to_state = 'in_progress'),
        min(runner_id), max(runner_id), min(due_at) filter (where to_state = 'in_progress'),
        bool_or(sort_key > 1) filter (where to_state = 'in_progress')
    into v_changes
    from projected;
    if v_changes.refused > 0 then
        perform _explain_refused_steps(array_agg(entered::workflow_step_transitions))
        from entered;
    end if;
    v_enqueued := _follow_step_changes(v_changes);
    return null;
end;
$$;

comment on function _project_step_transitions() is
    'Makes new transitions of steps the state of the steps, or refuses them.';

create trigger b_project
after insert on workflow_step_transitions
referencing new table as entered
for each statement
execute function _project_step_transitions();

comment on trigger b_project on workflow_step_transitions is
    'The log is guarded here and projected onto workflow_steps, and what follows is done.';
