-- _settle_tasks: decides what becomes of tasks after their steps changed.
--
-- Takes the row locks of the tasks, ascending, and looks in following statements: of two last
-- finishers the second sees what the first did. started: a step was claimed; stalled: steps
-- finished, or came back, without one becoming ready; changed with delta: failures to count.
--
-- `complete is not true`: a plan from when the tables were empty would go through tasks_active.

create function _settle_tasks(started bigint[], stalled bigint[], changed bigint[], delta integer[])
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
    v_locked bigint[];
    v_fact record;
    v_moved integer;
begin
    v_locked := array(
        select task.task_id
        from tasks task
        where task.task_id = any (
            _settle_tasks.started || _settle_tasks.stalled || _settle_tasks.changed
        )
            and task.complete is not true
        order by task.task_id
        for update
    );
    if v_locked = '{}' then
        return;
    end if;
    if current_setting('transaction_isolation') = 'repeatable read' then
        -- What another finisher did meanwhile is not in this snapshot: one of the two has to fail.
        update tasks task
        set failures = task.failures
        where task.task_id = any (v_locked);
    end if;
    if _settle_tasks.changed <> '{}' then
        update tasks task
        set failures = task.failures + change.delta
        from unnest(_settle_tasks.changed, _settle_tasks.delta) as change (task_id, delta)
        where task.task_id = change.task_id and task.task_id = any (v_locked);
    end if;
    if _settle_tasks.stalled = '{}' then
        v_moved := _move_tasks('pending', 'in_progress', v_locked);
        return;
    end if;

    select
        array_agg(fact.task_id) filter (where not fact.is_open) as done,
        array_agg(fact.task_id) filter (where fact.state = 'error' and fact.goes_on) as revived,
        array_agg(fact.task_id) filter (
            where fact.state <> 'in_progress' and not fact.is_open
        ) as unstarted,
        array_agg(fact.task_id) filter (where not fact.goes_on) as stuck
    into v_fact
    from (
        select
            task.task_id,
            task.state,
            step.is_open is not null as is_open,
            step.is_open is null
                or task.failures = 0
                or _task_can_go_on(task.task_id) as goes_on
        from tasks task
        left join lateral (
            -- From the last step backwards: an open one is found at once while tasks run in order.
            select true as is_open
            from (
                select found.processed
                from workflow_steps found
                where found.task_id = task.task_id
                order by found.workflow_step_id desc
                offset 0
            ) found
            where not found.processed
            limit 1
        ) step on true
        where task.task_id = any (_settle_tasks.stalled) and task.complete is not true
        offset 0
    ) fact;
    v_moved := _move_tasks('error', 'pending', v_fact.revived);
    v_moved := _move_tasks('pending', 'in_progress', v_fact.unstarted || _settle_tasks.started);
    v_moved := _move_tasks('in_progress', 'complete', v_fact.done);
    v_moved := _move_tasks('pending', 'error', v_fact.stuck);
    v_moved := _move_tasks('in_progress', 'error', v_fact.stuck);
end;
$$;

comment on function _settle_tasks(bigint[], bigint[], bigint[], integer[]) is
    'Decide the state of tasks after steps of theirs changed.';
