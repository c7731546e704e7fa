-- _end_watches: removes watches that are over, once a minute, whoever makes the look.
--
-- Those of tasks that came to rest are gone by then. Taken with skip locked; a full batch is
-- followed by the next at the next call.

create function _end_watches(max_watches integer)
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_now timestamptz := clock();
    v_ended bigint;
begin
    perform
    from housekeeping
    where housekeeping.watches_ended_at <= v_now - interval '1 minute'
        or housekeeping.watches_ended_at > v_now
    for update skip locked;
    if not found then
        return;
    end if;
    delete from task_watches watch
    where watch.watch_id = any (
        array(
            select over.watch_id
            from task_watches over
            where over.ends_at <= v_now
            limit _end_watches.max_watches
            for update skip locked
        )
    );
    get diagnostics v_ended = row_count;
    if v_ended < _end_watches.max_watches then
        update housekeeping set watches_ended_at = v_now;
    end if;
end;
$$;

comment on function _end_watches(integer) is
    'Remove watches that are over.';
