-- _take_steps: ready steps of some queues, locked; queue rows first, then steps, all skip locked.
--
-- Starts at the known heads; what came up under a priority not known yet is found in the gaps
-- between the known ones, whose dead entries are not touched.

create function _take_steps(queues text[], max_steps integer)
returns bigint[]
language plpgsql
volatile
set search_path from current
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_queues text[];
    v_priorities integer[];
    v_positions bigint[];
    v_taken bigint[];
begin
    select array_agg(head.queue), array_agg(head.priority), array_agg(head.first_position)
    into v_queues, v_priorities, v_positions
    from queue_heads head
    where head.queue = any (_take_steps.queues);
    v_taken := _take_from(v_queues, v_priorities, v_positions, max_steps);
    if cardinality(v_taken) < max_steps then
        select array_agg(missed.queue), array_agg(missed.priority), array_agg(0)
        into v_queues, v_priorities, v_positions
        from _missed_heads(_take_steps.queues) missed;
        if v_queues is not null then
            v_taken := v_taken || _take_from(
                v_queues, v_priorities, v_positions, max_steps - cardinality(v_taken)
            );
        end if;
    end if;
    return v_taken;
end;
$$;

comment on function _take_steps(text[], integer) is
    'Lock up to so many ready steps of some queues.';
