-- _live_heads: the first ready row of every queue and priority, by jumping from one pair to the
-- next.

create function _live_heads()
returns table (queue text, priority integer, "position" bigint)
language sql
stable
begin atomic
    with recursive head as (
        (
            select first.queue, first.priority, first.position
            from step_queue first
            where first.due_at is null
            order by first.queue, first.priority desc, first.position
            limit 1
        )
        union all
        select next.queue, next.priority, next.position
        from head
        cross join lateral (
            (
                select lower.queue, lower.priority, lower.position
                from step_queue lower
                where lower.due_at is null
                    and lower.queue = head.queue
                    and lower.priority < head.priority
                order by lower.queue, lower.priority desc, lower.position
                limit 1
            )
            union all
            (
                select other.queue, other.priority, other.position
                from step_queue other
                where other.due_at is null and other.queue > head.queue
                order by other.queue, other.priority desc, other.position
                limit 1
            )
            limit 1
        ) next
    )
    select head.queue, head.priority, head.position
    from head;
end;

comment on function _live_heads() is
    'The first ready row of every queue and priority.';
