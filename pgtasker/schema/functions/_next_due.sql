-- _next_due: when the next waiting step comes due.

create function _next_due()
returns timestamptz
language plpgsql
stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
begin
    return (
        select min(waiting.due_at)
        from step_queue waiting
        where waiting.due_at >= (select housekeeping.due_from from housekeeping)
    );
end;
$$;

comment on function _next_due() is
    'When the next waiting step comes due; null if none waits for a time.';
