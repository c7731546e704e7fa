-- _take_steps: locks up to so many ready steps of some queues, from the highest priority down, and
-- of queues with the same priority from the one whose first step waits longest.
--
-- Queue rows first, then steps, all skip locked: what another claim is about to take costs one look
-- at its queue row, however many claim at once. A queue row whose step is no longer claimable is
-- dropped; one whose step is locked is left.

create function _take_steps(queues text[], max_steps integer)
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
    v_taken bigint[];
    v_step_ids bigint[];
    v_task_ids bigint[];
    v_pending bigint[];
begin
    v_taken := array(
        select waiting.workflow_step_id
        from (
            select head.queue, head.priority, head.position
            from _ready_heads(_take_steps.queues) head
            order by head.priority desc, head.position
        ) head
        cross join lateral (
            select ready.workflow_step_id
            from step_queue ready
            where ready.queue = head.queue
                and ready.priority = head.priority
                and ready.due_at is null
                and ready.position >= head.position
            order by ready.position
            limit _take_steps.max_steps
            for update skip locked
        ) waiting
        limit _take_steps.max_steps
    );
    if v_taken = '{}' then
        return v_taken;
    end if;
    select array_agg(locked.workflow_step_id), array_agg(locked.task_id)
    into v_step_ids, v_task_ids
    from (
        select step.workflow_step_id, step.task_id
        from workflow_steps step
        where step.workflow_step_id = any (v_taken)
            and step.state = 'pending'
            and step.unsatisfied_parents = 0
        order by step.workflow_step_id
        for update skip locked
    ) locked;
    if cardinality(v_step_ids) is distinct from cardinality(v_taken) then
        perform _drop_stale_rows(v_taken);
    end if;
    v_pending := array(
        select task.task_id
        from tasks task
        where task.task_id = any (v_task_ids) and task.state = 'pending'
    );
    if v_pending <> '{}' then
        v_step_ids := _leave_busy_tasks(v_step_ids, v_task_ids, v_pending);
    end if;
    return coalesce(v_step_ids, '{}');
end;
$$;

comment on function _take_steps(text[], integer) is
    'Lock up to so many ready steps of some queues.';
