-- _totals: how often each fact has happened since the install: what the rollups say, and what the
-- log has gained since.

create function _totals()
returns table (subject text, fact text, occurrences bigint)
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
    v_progress rollup_progress;
begin
    select progress.* into v_progress from rollup_progress progress;
    return query
    select counted.subject, counted.fact, sum(counted.occurrences)::bigint
    from (
        select rollup.subject, rollup.fact, rollup.occurrences
        from rollups rollup
        where rollup.bucket_at = '-infinity'
        union all
        select found.subject, found.fact, 1
        from _facts(
            v_progress.next_xact_id, 9223372036854775807, v_progress.begins_at
        ) found
    ) counted
    group by counted.subject, counted.fact;
end;
$$;

comment on function _totals() is
    'How often each fact has happened since the install.';
