-- _slowest: the slowest attempts or tasks since a time, of some steps or workflows: from the log
-- for up to an hour, else from what was kept of each hour and what is not counted yet.

create function _slowest(
    subject text,
    since timestamptz,
    named_ids bigint[],
    max_rows integer
)
returns table (entity_id bigint, sort_key integer, seconds double precision)
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
    v_start timestamptz := _analysis_start(_slowest.since);
    v_first_xact_id bigint := 0;
    v_begins_at timestamptz := v_start;
begin
    if _slowest.max_rows is null or _slowest.max_rows not between 1 and 100 then
        perform _refuse(
            format('max_rows must be from 1 to 100, not %s',
                coalesce(_slowest.max_rows::text, 'null')),
            'It is the number of rows to return, the slowest first.',
            'Pass for example 10, or name a workflow to see more of it.'
        );
    end if;
    if not _analysis_is_exact(_slowest.since) then
        select progress.next_xact_id, greatest(v_start, progress.begins_at)
        into v_first_xact_id, v_begins_at
        from rollup_progress progress;
    end if;
    return query
    select found.entity_id, found.sort_key, found.seconds
    from (
        select fact.entity_id, fact.sort_key, fact.seconds, fact.named_id
        from _facts(v_first_xact_id, 9223372036854775807, v_begins_at) fact
        where fact.subject = _slowest.subject and fact.fact in ('complete', 'error')
        union all
        select slow.entity_id, slow.sort_key, slow.seconds, slow.named_id
        from slowest slow
        where v_first_xact_id > 0
            and slow.bucket_at >= v_start
            and slow.subject = _slowest.subject
    ) found
    where found.named_id = any (_slowest.named_ids)
    order by found.seconds desc, found.entity_id desc, found.sort_key desc
    limit _slowest.max_rows;
end;
$$;

comment on function _slowest(text, timestamptz, bigint[], integer) is
    'The slowest attempts or tasks since a time.';
