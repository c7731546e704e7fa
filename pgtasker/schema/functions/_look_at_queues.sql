-- _look_at_queues: one full look per second, whoever makes it, moves the heads past the dead end.
--
-- A head stays up to 1,000 positions behind the first row seen, so that a transaction that got its
-- positions before the look and commits after it is not passed over; an older one waits for the
-- next look. Holds the row of housekeeping: others skip the look, nobody waits.

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
    v_last bigint;
    v_seen_before bigint;
begin
    select housekeeping.position_seen
    into v_seen_before
    from housekeeping
    where housekeeping.looked_at <= v_now - interval '1 second' or housekeeping.looked_at > v_now
    for update skip locked;
    if not found then
        return;
    end if;
    v_last := (select sequence.last_value from step_queue_position sequence);
    update housekeeping
    set
        looked_at = v_now,
        position_seen = v_last,
        due_from = least(
            v_now,
            (select min(waiting.due_at) from step_queue waiting where waiting.due_at is not null)
        ) - interval '2 seconds';

    insert into queue_heads (queue, priority, first_position, seen_at)
    select
        live.queue,
        live.priority,
        greatest(live.position - 1000, least(live.position, v_seen_before)),
        v_now
    from _live_heads() live
    on conflict on constraint queue_heads_pkey do update
    set first_position = excluded.first_position, seen_at = excluded.seen_at;

    delete from queue_heads head
    where head.seen_at < v_now - interval '10 minutes';

    update queue_heads head
    set first_position = greatest(v_last - 1000, least(v_last + 1, v_seen_before))
    where head.seen_at < v_now
        and head.first_position < greatest(v_last - 1000, least(v_last + 1, v_seen_before));
end;
$$;

comment on function _look_at_queues() is
    'Move the heads of the queues to the first live rows, at most once a second.';
