-- _merge_a_day: the hours of the first day that has any become one bucket, from the given day on.
--
-- The caller holds rollup_progress. One day at once, so that no call takes long.

create function _merge_a_day(days_until timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set jit = off
as $$
declare
    v_day timestamptz := date_bin(
        '1 day',
        least(
            (
                select min(rollup.bucket_at)
                from rollups rollup
                where rollup.bucket_at >= _merge_a_day.days_until
                    and rollup.bucket_at > '-infinity'
            ),
            clock() - interval '3 days'
        ),
        '2000-01-01 00:00:00+00'
    );
    v_next timestamptz := v_day + interval '24 hours';
begin
    insert into rollups as rollup (
        bucket_at, subject, named_id, fact, bin, occurrences, seconds
    )
    select
        v_day, hour.subject, hour.named_id, hour.fact, hour.bin, sum(hour.occurrences),
        sum(hour.seconds)
    from rollups hour
    where hour.bucket_at > v_day and hour.bucket_at < v_next
    group by hour.subject, hour.named_id, hour.fact, hour.bin
    on conflict on constraint rollups_pkey do update
    set
        occurrences = rollup.occurrences + excluded.occurrences,
        seconds = rollup.seconds + excluded.seconds;
    delete from rollups hour
    where hour.bucket_at > v_day and hour.bucket_at < v_next;

    delete from slowest
    using (
        select
            slow.bucket_at, slow.subject, slow.named_id, slow.entity_id, slow.sort_key,
            row_number() over (
                partition by slow.subject, slow.named_id
                order by slow.seconds desc, slow.entity_id, slow.sort_key
            ) as place
        from slowest slow
        where slow.bucket_at >= v_day and slow.bucket_at < v_next
    ) ranked
    where slowest.bucket_at = ranked.bucket_at
        and slowest.subject = ranked.subject
        and slowest.named_id = ranked.named_id
        and slowest.entity_id = ranked.entity_id
        and slowest.sort_key = ranked.sort_key
        and ranked.place > 20;
    update slowest
    set bucket_at = v_day
    where slowest.bucket_at > v_day and slowest.bucket_at < v_next;
    update rollup_progress set days_until = v_next;
end;
$$;

comment on function _merge_a_day(timestamptz) is
    'Merge the hours of one day in the rollups.';
