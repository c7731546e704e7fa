-- _count_facts: adds the facts of some transactions to the rollups, and the slowest among them to
-- those of their hour; returns how many facts there were. The caller holds rollup_progress.
--
-- Of each step and workflow the twenty slowest of each bucket are kept.

create function _count_facts(first_xact_id bigint, end_xact_id bigint, progress rollup_progress)
returns bigint
language plpgsql
volatile
set search_path from current
set enable_hashjoin = off
set enable_memoize = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    v_counted bigint;
begin
    if _count_facts.first_xact_id >= _count_facts.end_xact_id then
        return 0;
    end if;
    with fact as materialized (
        select
            found.*,
            _bucket_of(found.happened_at, (progress).days_until) as bucket_at
        from _facts(
            _count_facts.first_xact_id, _count_facts.end_xact_id, (progress).begins_at
        ) found
    ),
    counted as (
        insert into rollups as rollup (
            bucket_at, subject, named_id, fact, bin, occurrences, seconds
        )
        select
            bucket.bucket_at, fact.subject, fact.named_id, fact.fact, bucket.bin, count(*),
            sum(fact.seconds)
        from fact
        cross join lateral (
            values
                (fact.bucket_at, _seconds_bin(fact.seconds)),
                ('-infinity', 0::smallint)
        ) as bucket (bucket_at, bin)
        group by bucket.bucket_at, fact.subject, fact.named_id, fact.fact, bucket.bin
        on conflict on constraint rollups_pkey do update
        set
            occurrences = rollup.occurrences + excluded.occurrences,
            seconds = rollup.seconds + excluded.seconds
    ),
    ranked as (
        select
            slow.*,
            row_number() over (
                partition by slow.bucket_at, slow.subject, slow.named_id
                order by slow.seconds desc, slow.entity_id, slow.sort_key
            ) as place
        from (
            select
                fact.bucket_at, fact.subject, fact.named_id, fact.entity_id, fact.sort_key,
                fact.seconds, false as kept
            from fact
            where fact.fact in ('complete', 'error')
            union all
            select
                slowest.bucket_at, slowest.subject, slowest.named_id, slowest.entity_id,
                slowest.sort_key, slowest.seconds, true
            from slowest
            where (slowest.bucket_at, slowest.subject, slowest.named_id) in (
                select fact.bucket_at, fact.subject, fact.named_id from fact
            )
        ) slow
    ),
    dropped as (
        delete from slowest
        using ranked
        where slowest.bucket_at = ranked.bucket_at
            and slowest.subject = ranked.subject
            and slowest.named_id = ranked.named_id
            and slowest.entity_id = ranked.entity_id
            and slowest.sort_key = ranked.sort_key
            and ranked.kept
            and ranked.place > 20
    ),
    gained as (
        insert into slowest (bucket_at, subject, named_id, entity_id, sort_key, seconds)
        select
            ranked.bucket_at, ranked.subject, ranked.named_id, ranked.entity_id,
            ranked.sort_key, ranked.seconds
        from ranked
        where not ranked.kept and ranked.place <= 20
    )
    select count(*) into v_counted from fact;
    return v_counted;
end;
$$;

comment on function _count_facts(bigint, bigint, rollup_progress) is
    'Add what some transactions did to the rollups.';
