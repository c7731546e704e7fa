-- _move_tasks: the engine's own transitions of tasks; those in another state stay as they are.
--
-- Locks them, ascending, if the caller has not. Returns how many moved.

create function _move_tasks(from_state text, to_state text, task_ids bigint[])
returns integer
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
    v_now timestamptz := clock();
    v_moved integer;
begin
    if coalesce(_move_tasks.task_ids, '{}') = '{}' then
        return 0;
    end if;
    insert into task_transitions (task_id, created_at, sort_key, paused, from_state, to_state)
    select
        task.task_id,
        v_now,
        task.transition_count + 1,
        task.paused and not _task_is_complete(_move_tasks.to_state),
        task.state,
        _move_tasks.to_state
    from (
        select found.task_id, found.transition_count, found.paused, found.state
        from tasks found
        where found.task_id = any (_move_tasks.task_ids)
            and found.state = _move_tasks.from_state
        order by found.task_id
        for update
    ) task;
    get diagnostics v_moved = row_count;
    return v_moved;
end;
$$;

comment on function _move_tasks(text, text, bigint[]) is
    'Move those of the tasks that are in one state to another.';
