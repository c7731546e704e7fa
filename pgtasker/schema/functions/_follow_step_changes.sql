-- _follow_step_changes: what follows from transitions of steps: queue rows go and come, tasks
-- start, end or fail, claims begin. Returns how many steps were enqueued.

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
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_alive bigint[] := coalesce(changes.begun_tasks, '{}') || changes.freed_tasks;
    v_enqueued integer := 0;
    v_started bigint[];
    v_over bigint;
    v_stalled bigint[] := '{}'::bigint[];
    v_failed bigint[];
    v_delta integer[];
    v_moved integer;
    v_passed integer;
    v_begun integer;
begin
    if changes.unqueued is not null then
        delete from step_queue waiting
        where waiting.workflow_step_id = any (changes.unqueued);
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
    if changes.freed is not null or changes.back is not null then
        v_enqueued := _enqueue(changes.freed || changes.back);
    end if;
    if changes.counted is not null then
        select array_agg(change.task_id), array_agg(change.delta)
        into v_failed, v_delta
        from _failure_changes(changes.counted) change;
    end if;
    if changes.moved_tasks is not null or not (changes.ended_tasks <@ v_alive) then
        -- What runs, or was just freed, keeps a live task alive; what a person finished may wake a
        -- task that was over.
        v_stalled := array(
            (
                select unnest(changes.ended_tasks)
                except
                select unnest(v_alive)
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
    if changes.followed is not null then
        v_passed := _pass_over(changes.followed, changes.earlier);
    end if;
    if changes.begun is not null then
        v_begun := _hold_claims(
            changes.begun, changes.begun_claims, changes.first_runner, changes.last_runner,
            changes.first_due_at, changes.begun_again
        );
    end if;
    return v_enqueued;
end;
$$;

comment on function _follow_step_changes(_step_changes) is
    'Queue, tasks and claims follow the transitions of steps.';
