-- _measures: what happened since a time to tasks, steps, or both: how often, and how long it took.
-- From the log if that is an hour or less: then each row is one occurrence; else from the rollups,
-- where a row is a bin of a histogram, and from the log for what is not counted yet.

create function _measures(since timestamptz, about text default null)
returns table (
    subject text,
    named_id bigint,
    fact text,
    seconds double precision,
    occurrences bigint,
    total_seconds double precision
)
language plpgsql
stable
set search_path from current
set enable_hashjoin = off
set enable_memoize = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    v_start timestamptz := _analysis_start(_measures.since);
    v_progress rollup_progress;
begin
    if _analysis_is_exact(_measures.since) then
        return query
        select found.subject, found.named_id, found.fact, found.seconds, 1::bigint, found.seconds
        from _facts(0, 9223372036854775807, v_start) found
        where _measures.about is null or found.subject = _measures.about;
        return;
    end if;
    select progress.* into v_progress from rollup_progress progress;
    return query
    select
        rollup.subject, rollup.named_id, rollup.fact, _bin_seconds(rollup.bin),
        rollup.occurrences, rollup.seconds
    from rollups rollup
    where rollup.bucket_at >= v_start
        and (_measures.about is null or rollup.subject = _measures.about)
    union all
    select found.subject, found.named_id, found.fact, found.seconds, 1, found.seconds
    from _facts(
        v_progress.next_xact_id,
        9223372036854775807,
        greatest(v_start, v_progress.begins_at)
    ) found
    where _measures.about is null or found.subject = _measures.about;
end;
$$;

comment on function _measures(timestamptz, text) is
    'What happened since a time: how often, and how long it took.';
