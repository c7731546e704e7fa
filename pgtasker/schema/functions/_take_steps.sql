-- _take_steps: ready steps of some queues, locked with skip locked.
--
-- Starts at the known heads. What came up under a priority not known yet is looked for each time: a
-- higher priority goes first, also within the second until the next look knows it.

create function _take_steps(queues text[], max_steps integer)
returns bigint[]
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_queues text[];
    v_priorities integer[];
    v_positions bigint[];
begin
    select array_agg(head.queue), array_agg(head.priority), array_agg(head.first_position)
    into v_queues, v_priorities, v_positions
    from (
        select known.queue, known.priority, known.first_position
        from queue_heads known
        where known.queue = any (_take_steps.queues)
        union all
        select missed.queue, missed.priority, 0
        from _missed_heads(_take_steps.queues) missed
    ) head;
    return coalesce(_take_from(v_queues, v_priorities, v_positions, max_steps), '{}');
end;
$$;

comment on function _take_steps(text[], integer) is
    'Lock up to so many ready steps of some queues.';
