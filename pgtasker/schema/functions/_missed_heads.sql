-- _missed_heads: priorities that have ready steps but no entry in queue_heads yet.
--
-- Looks into each gap, above the highest known priority, between two, below the lowest, and jumps
-- there from one priority to the next. As a rule there is none, and each gap costs one look.

create function _missed_heads(queues text[])
returns table (queue text, priority integer)
language sql
stable
begin atomic
    with recursive missed as (
        select gap.queue, gap.above, found.priority
        from (
            select
                head.queue,
                head.priority::bigint as below,
                (
                    select max(lower.priority)
                    from queue_heads lower
                    where lower.queue = head.queue and lower.priority < head.priority
                ) as above
            from queue_heads head
            where head.queue = any (queues)
            union all
            select
                given.queue,
                2147483648,
                (select max(known.priority) from queue_heads known where known.queue = given.queue)
            from unnest(queues) as given (queue)
        ) gap
        cross join lateral (
            select waiting.priority
            from step_queue waiting
            where waiting.queue = gap.queue
                and waiting.due_at is null
                and waiting.priority > coalesce(gap.above, -2147483649)
                and waiting.priority < gap.below
            order by waiting.priority desc, waiting.position
            limit 1
        ) found
        union all
        select missed.queue, missed.above, next.priority
        from missed
        cross join lateral (
            select waiting.priority
            from step_queue waiting
            where waiting.queue = missed.queue
                and waiting.due_at is null
                and waiting.priority > coalesce(missed.above, -2147483649)
                and waiting.priority < missed.priority
            order by waiting.priority desc, waiting.position
            limit 1
        ) next
    )
    select missed.queue, missed.priority
    from missed;
end;

comment on function _missed_heads(text[]) is
    'Queues and priorities with ready steps that queue_heads does not know yet.';
