-- _follow_step_changes: what follows from transitions of steps: queue rows go and come, finished
-- parents free their children, tasks start, end or fail. Steps and children are locked by whoever
-- inserted the transitions. Returns how many children became free.

create function _follow_step_changes(changes _step_changes)
returns integer
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
declare
    v_freed bigint[] := '{}'::bigint[];
    v_freed_tasks bigint[] := '{}'::bigint[];
    v_started bigint[];
    v_over bigint;
    v_stalled bigint[] := '{}'::bigint[];
    v_failed bigint[];
    v_delta integer[];
    v_moved integer;
begin
    if changes.unqueued is not null then
        delete from step_queue waiting
        where waiting.workflow_step_id = any (changes.unqueued);
    end if;
    if changes.satisfied is not null then
        -- `state` stays: without it each row would have the rules of generated columns parsed anew.
        with freeing as (
            select edge.child_step_id, count(*)::integer as parents
            from workflow_step_edges edge
            where edge.parent_step_id = any (changes.satisfied)
            group by edge.child_step_id
        ),
        freed as (
            update workflow_steps child
            set
                unsatisfied_parents = child.unsatisfied_parents - freeing.parents,
                state = child.state
            from freeing
            where child.workflow_step_id = any (array(select freeing.child_step_id from freeing))
                and child.workflow_step_id + 0 = freeing.child_step_id
            returning
                child.workflow_step_id, child.task_id, child.unsatisfied_parents, child.state
        )
        select
            coalesce(array_agg(freed.workflow_step_id), '{}'),
            coalesce(array_agg(freed.task_id), '{}')
        into v_freed, v_freed_tasks
        from freed
        where freed.unsatisfied_parents = 0 and freed.state = 'pending';
    end if;
    if changes.begun_tasks is not null then
        select
            array_agg(task.task_id) filter (where task.state = 'pending'),
            min(task.task_id) filter (where task.complete)
        into v_started, v_over
        from tasks task
        where task.task_id = any (changes.begun_tasks);
        if v_over is not null then
            perform _refuse_state('task', v_over, 'run a step of', 'over', 'unfinished');
        end if;
    end if;
    if v_freed <> '{}' or changes.back is not null then
        v_moved := _enqueue(v_freed || changes.back);
    end if;
    if changes.counted is not null then
        select array_agg(change.task_id), array_agg(change.delta)
        into v_failed, v_delta
        from _failure_changes(changes.counted) change;
    end if;
    if changes.moved_tasks is not null or changes.ended_tasks <> v_freed_tasks then
        -- What ran and freed a child leaves a live task alive; what a person finished may wake a
        -- task that was over.
        v_stalled := array(
            (
                select unnest(changes.ended_tasks)
                except
                select unnest(v_freed_tasks)
            )
            union
            select unnest(changes.moved_tasks)
        );
    end if;
    if v_failed is not null or v_stalled <> '{}' then
        perform _settle_tasks(
            coalesce(v_started, '{}'),
            v_stalled,
            coalesce(v_failed, '{}'),
            v_delta
        );
    elsif v_started is not null then
        v_moved := _move_tasks('pending', 'in_progress', v_started);
    end if;
    return cardinality(v_freed);
end;
$$;

comment on function _follow_step_changes(_step_changes) is
    'Queue, children and tasks follow the transitions of steps.';
