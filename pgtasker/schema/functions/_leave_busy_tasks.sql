-- _leave_busy_tasks: the first claim of a task moves the task, which locks its row. Steps whose
-- pending task (of pending_ids) is locked by another are left for later: a claim waits for nobody.

create function _leave_busy_tasks(
    step_ids bigint[],
    task_ids bigint[],
    pending_ids bigint[]
)
returns bigint[]
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
begin
    v_locked := array(
        select task.task_id
        from tasks task
        where task.task_id = any (_leave_busy_tasks.pending_ids) and task.state = 'pending'
        order by task.task_id
        for update skip locked
    );
    if cardinality(v_locked) = cardinality(pending_ids) then
        return _leave_busy_tasks.step_ids;
    end if;
    return array(
        select taken.workflow_step_id
        from unnest(_leave_busy_tasks.step_ids, _leave_busy_tasks.task_ids)
            as taken (workflow_step_id, task_id)
        where taken.task_id = any (v_locked)
            or (
                select task.state <> 'pending'
                from tasks task
                where task.task_id = taken.task_id
            )
    );
end;
$$;

comment on function _leave_busy_tasks(bigint[], bigint[], bigint[]) is
    'Of locked steps those whose task can be moved now without waiting.';
