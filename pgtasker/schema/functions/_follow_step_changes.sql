-- _follow_step_changes: what follows from transitions of steps: queue rows go and come, finished
-- parents free their children, tasks start, end or fail. Steps and children are locked by whoever
-- inserted the transitions.

create function _follow_step_changes(changes _step_changes)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_nestloop = on
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_freed bigint[] := '{}';
    v_freed_tasks bigint[] := '{}';
    v_started bigint[];
    v_over bigint;
    v_stalled bigint[] := '{}';
    v_failed bigint[];
    v_delta integer[];
begin
    if changes.unqueued is not null then
        delete from step_queue waiting
        where waiting.workflow_step_id = any (changes.unqueued);
    end if;
    if changes.satisfied is not null then
        select
            coalesce(array_agg(freed.workflow_step_id), '{}'),
            coalesce(array_agg(freed.task_id), '{}')
        into v_freed, v_freed_tasks
        from _free_children(changes.satisfied) freed;
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
        perform _enqueue(v_freed || changes.back);
    end if;
    if changes.counted is not null then
        select array_agg(change.task_id), array_agg(change.delta)
        into v_failed, v_delta
        from _failure_changes(changes.counted) change;
    end if;
    if changes.ended_tasks is not null or changes.moved_tasks is not null then
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
    if v_started is not null or v_failed is not null or v_stalled <> '{}' then
        perform _settle_tasks(
            coalesce(v_started, '{}'),
            v_stalled,
            coalesce(v_failed, '{}'),
            v_delta
        );
    end if;
end;
$$;

comment on function _follow_step_changes(_step_changes) is
    'Queue, children and tasks follow the transitions of steps.';
