-- _ready_heads: of each queue that is not paused and each priority, the first step that is ready.
--
-- Starts at the known heads. What came up under a priority not known yet is looked for each time: a
-- higher priority goes first, also within the second until the next look knows it.

create function _ready_heads(queues text[])
returns table (queue text, priority integer, "position" bigint)
language sql
stable
begin atomic
    select head.queue, head.priority, eldest.position
    from (
        select known.queue, known.priority, known.first_position
        from queue_heads known
        where known.queue = any (queues)
        union all
        select missed.queue, missed.priority, 0
        from _missed_heads(queues) missed
    ) head
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
        select from queues queue where queue.queue = head.queue and queue.paused
    );
end;

comment on function _ready_heads(text[]) is
    'The first ready step of each queue and priority, where a claim begins.';
