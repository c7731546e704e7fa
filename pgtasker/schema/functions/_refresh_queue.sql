-- _refresh_queue: before a claim looks at the queue. About once a second, or after many arrivals,
-- its heads are looked at; what has come due becomes ready at once. Returns whether anything has.
--
-- What need not be done at every claim is not called at every claim.

create function _refresh_queue(max_steps integer)
returns boolean
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
    v_look boolean;
    v_due boolean;
begin
    select
        housekeeping.looked_at <= v_now - interval '1 second'
            or housekeeping.looked_at > v_now
            or (
                housekeeping.looked_at <= v_now - interval '250 milliseconds'
                and (select sequence.last_value from step_queue_position sequence)
                    > housekeeping.position_seen + 5000
            ),
        exists (
            select
            from step_queue waiting
            where waiting.due_at >= housekeeping.due_from and waiting.due_at <= v_now
        )
    into v_look, v_due
    from housekeeping;
    if v_look then
        perform _look_at_queues();
    end if;
    if v_due then
        perform _promote_due(greatest(100, max_steps));
    end if;
    return v_due;
end;
$$;

comment on function _refresh_queue(integer) is
    'Look at the heads of queues if that is due, and make ready what has come due.';
