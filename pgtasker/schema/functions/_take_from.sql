-- _take_from: locks up to so many ready steps, from the highest priority down, and of queues with
-- the same priority from the one whose first step waits longest.
--
-- Steps are locked as the queue is read; one that is locked or no longer claimable is passed over.
-- The queue rows are not locked: only who has the step locked may delete its row.

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
    v_step_ids bigint[];
    v_task_ids bigint[];
begin
    select array_agg(taken.workflow_step_id), array_agg(taken.task_id)
    into v_step_ids, v_task_ids
    from (
        select step.workflow_step_id, step.task_id
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
        ) waiting
        cross join lateral (
            select found.workflow_step_id, found.task_id
            from workflow_steps found
            where found.workflow_step_id = waiting.workflow_step_id
                and found.state = 'pending'
                and found.unsatisfied_parents = 0
            for update skip locked
        ) step
        limit _take_from.max_steps
    ) taken;
    return _leave_busy_tasks(v_step_ids, v_task_ids);
end;
$$;

comment on function _take_from(text[], integer[], bigint[], integer) is
    'Lock up to so many ready steps of the given queues and priorities.';
