-- _analysis_start: where a window of analytics begins: an hour ago unless given, exactly there if
-- that is not longer ago than an hour, else at the start of the bucket; never in the future.

create function _analysis_start(since timestamptz)
returns timestamptz
language plpgsql
stable
set search_path from current
as $$
begin
    if _analysis_is_exact(_analysis_start.since) then
        return least(coalesce(_analysis_start.since, clock() - interval '1 hour'), clock());
    end if;
    return (
        select _bucket_of(
            greatest(_analysis_start.since, '2000-01-01 00:00:00+00'),
            progress.days_until
        )
        from rollup_progress progress
    );
end;
$$;

comment on function _analysis_start(timestamptz) is
    'Where a window of analytics begins.';
