-- _look_at_queues: moves the heads of the queues to the first live rows, once a second, or sooner
-- while much passes through: claims step over what is dead between a head and the first live row.
--
-- A look goes on from the known heads. What came up before them, or under another priority, is
-- found by a search from the start of each queue, which takes long while an old transaction keeps
-- what is dead: once a second, but never for more than a twentieth of the time.

create function _look_at_queues()
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_now timestamptz := clock();
    v_began timestamptz := clock_timestamp();
    v_last bigint;
    v_floor bigint;
    v_before housekeeping;
    v_searches boolean;
begin
    select housekeeping.*
    into v_before
    from housekeeping
    where housekeeping.looked_at <= v_now - interval '250 milliseconds'
        or housekeeping.looked_at > v_now
    for update skip locked;
    if not found then
        return;
    end if;
    v_searches := v_before.search_at <= v_now or v_before.search_at > v_now + interval '1 minute';
    v_last := (select sequence.last_value from step_queue_position sequence);

    insert into queue_heads (queue, priority, first_position, seen_at)
    select
        live.queue,
        live.priority,
        greatest(live.position - 1000, least(live.position, v_before.position_seen)),
        v_now
    from (
        select found.queue, found.priority, found.position
        from _live_heads() found
        where v_searches
        union all
        select known.queue, known.priority, next.position
        from queue_heads known
        cross join lateral (
            select waiting.position
            from step_queue waiting
            where waiting.queue = known.queue
                and waiting.priority = known.priority
                and waiting.due_at is null
                and waiting.position >= known.first_position
            order by waiting.position
            limit 1
        ) next
        where not v_searches
    ) live
    on conflict on constraint queue_heads_pkey do update
    set first_position = excluded.first_position, seen_at = excluded.seen_at;

    delete from queue_heads head
    where head.seen_at < v_now - interval '10 minutes';

    v_floor := greatest(v_last - 1000, least(v_last + 1, v_before.position_seen));
    update queue_heads head
    set first_position = v_floor
    where head.seen_at < v_now and head.first_position < v_floor;

    update housekeeping
    set
        looked_at = v_now,
        position_seen = v_last,
        search_at = case
            when v_searches then v_now + least(
                greatest(interval '1 second', 20 * (clock_timestamp() - v_began)),
                interval '1 minute'
            )
            else v_before.search_at
        end,
        due_from = least(
            v_now,
            (select min(waiting.due_at) from step_queue waiting where waiting.due_at is not null)
        ) - interval '2 seconds';
end;
$$;

comment on function _look_at_queues() is
    'Move the heads of the queues to the first live rows.';
