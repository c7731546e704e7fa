-- _missed_heads: priorities that have ready steps but no entry in queue_heads yet.
--
-- Looks into each gap, above the highest known priority, between two, below the lowest, and jumps
-- there from one priority to the next.

create function _missed_heads(queues text[])
returns table (queue text, priority integer)
language sql
stable
begin atomic
    with recursive gap as (
        select head.queue, head.priority::bigint as above, lag(head.priority, 1)
            over (partition by head.queue order by head.priority desc)::bigint as below
        from queue_heads head
        where head.queue = any (queues)
        union all
        select given.queue, -2147483649, min(head.priority)
        from unnest(queues) as given (queue)
        left join queue_heads head on head.queue = given.queue
        group by given.queue
    ),
    missed as (
        select gap.queue, gap.above, coalesce(gap.below, 2147483648) as priority, false as is_found
        from gap
        union all
        select missed.queue, missed.above, next.priority::bigint, true
        from missed
        cross join lateral (
            select waiting.priority
            from step_queue waiting
            where waiting.queue = missed.queue
                and waiting.due_at is null
                and waiting.priority > missed.above
                and waiting.priority < missed.priority
            order by waiting.priority desc, waiting.position
            limit 1
        ) next
    )
    select missed.queue, missed.priority::integer
    from missed
    where missed.is_found;
end;

comment on function _missed_heads(text[]) is
    'Queues and priorities with ready steps that queue_heads does not know yet.';
