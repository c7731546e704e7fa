-- _leave_busy_tasks: the first claim of a task moves the task, which locks its row. Steps whose
-- pending task is locked by another are left for later: a claim waits for nobody.

create function _leave_busy_tasks(step_ids bigint[])
returns bigint[]
language plpgsql
volatile
set search_path from current
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    v_locked bigint[];
begin
    v_locked := array(
        select task.task_id
        from tasks task
        where task.state = 'pending'
            and task.task_id = any (
                array(
                    select step.task_id
                    from workflow_steps step
                    where step.workflow_step_id = any (_leave_busy_tasks.step_ids)
                )
            )
        order by task.task_id
        for update skip locked
    );
    return array(
        select taken.workflow_step_id
        from unnest(_leave_busy_tasks.step_ids) with ordinality as taken (workflow_step_id, place)
        cross join lateral (
            select found.task_id
            from workflow_steps found
            where found.workflow_step_id = taken.workflow_step_id
            offset 0
        ) step
        cross join lateral (
            select found.state
            from tasks found
            where found.task_id = step.task_id
            offset 0
        ) task
        where task.state <> 'pending' or step.task_id = any (v_locked)
        order by taken.place
    );
end;
$$;

comment on function _leave_busy_tasks(bigint[]) is
    'Of locked steps those whose task can be moved now without waiting.';
