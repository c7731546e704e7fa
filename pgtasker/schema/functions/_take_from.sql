-- _take_from: locks up to so many ready steps, from the highest priority down, and of queues with
-- the same priority from the one whose first step waits longest.
--
-- Queue rows first, then steps, all skip locked: what another claim is about to take costs one look
-- at its queue row, however many claim at once. A queue row whose step is no longer claimable is
-- dropped; one whose step is locked is left.

create function _take_from(
    queues text[],
    priorities integer[],
    positions bigint[],
    max_steps integer
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
    v_taken bigint[];
    v_step_ids bigint[];
    v_task_ids bigint[];
begin
    v_taken := array(
        select waiting.workflow_step_id
        from (
            select head.queue, head.priority, head.first_position
            from unnest(_take_from.queues, _take_from.priorities, _take_from.positions)
                as head (queue, priority, first_position)
            cross join lateral (
                select eldest.position
                from step_queue eldest
                where eldest.queue = head.queue
                    and eldest.priority = head.priority
                    and eldest.due_at is null
                    and eldest.position >= head.first_position
                order by eldest.position
                limit 1
            ) eldest
            where not exists (
                select
                from queues queue
                where queue.queue = head.queue and queue.paused
            )
            order by head.priority desc, eldest.position
        ) head
        cross join lateral (
            select ready.workflow_step_id
            from step_queue ready
            where ready.queue = head.queue
                and ready.priority = head.priority
                and ready.due_at is null
                and ready.position >= head.first_position
            order by ready.position
            limit _take_from.max_steps
            for update skip locked
        ) waiting
        limit _take_from.max_steps
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
        delete from step_queue stale
        where stale.workflow_step_id = any (
            array(
                select step.workflow_step_id
                from workflow_steps step
                where step.workflow_step_id = any (v_taken)
                    and not (step.state = 'pending' and step.unsatisfied_parents = 0)
                order by step.workflow_step_id
                for update skip locked
            )
        );
    end if;
    return _leave_busy_tasks(v_step_ids, v_task_ids);
end;
$$;

comment on function _take_from(text[], integer[], bigint[], integer) is
    'Lock up to so many ready steps of the given queues and priorities.';
