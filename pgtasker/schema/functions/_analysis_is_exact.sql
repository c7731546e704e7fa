-- _analysis_is_exact: windows of up to an hour are read from the log, longer ones from the rollups.
--
-- A minute more, as whoever asks for an hour looked at another clock, a moment ago.

create function _analysis_is_exact(since timestamptz)
returns boolean
language plpgsql
stable
set search_path from current
as $$
begin
    return _analysis_is_exact.since is null
        or _analysis_is_exact.since >= clock() - interval '61 minutes';
end;
$$;

comment on function _analysis_is_exact(timestamptz) is
    'Whether a window of analytics is read from the log itself.';
