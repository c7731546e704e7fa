-- _drop_stale: queue rows of steps that cannot be claimed leave the queue, a hundred of each queue
-- and priority at once. There are none but by somebody's hand; a claim that finds nothing looks.

create function _drop_stale(queues text[], priorities integer[], positions bigint[])
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
begin
    delete from step_queue stale
    where stale.workflow_step_id = any (
        array(
            select step.workflow_step_id
            from unnest(_drop_stale.queues, _drop_stale.priorities, _drop_stale.positions)
                as head (queue, priority, first_position)
            cross join lateral (
                select ready.workflow_step_id
                from step_queue ready
                where ready.queue = head.queue
                    and ready.priority = head.priority
                    and ready.due_at is null
                    and ready.position >= head.first_position
                order by ready.position
                limit 100
            ) waiting
            cross join lateral (
                select found.workflow_step_id
                from workflow_steps found
                where found.workflow_step_id = waiting.workflow_step_id
                    and not (found.state = 'pending' and found.unsatisfied_parents = 0)
                for update skip locked
            ) step
        )
    );
end;
$$;

comment on function _drop_stale(text[], integer[], bigint[]) is
    'Take steps that cannot be claimed out of the queue.';
