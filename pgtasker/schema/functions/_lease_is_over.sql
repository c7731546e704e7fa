-- _lease_is_over: a lease counts in the server incarnation that renewed it. After a restart or a
-- failover every runner gets one lease to come back, from when the new incarnation was first seen.

create function _lease_is_over(runner runners)
returns boolean
language plpgsql
stable
set search_path from current
as $$
begin
    if runner.lease_expires_at > clock() then
        return false;
    end if;
    return runner.incarnation = pg_postmaster_start_time()
        or exists (
            select
            from housekeeping
            where housekeeping.incarnation = pg_postmaster_start_time()
                and housekeeping.incarnation_at + _setting_interval('lease') <= clock()
        );
end;
$$;

comment on function _lease_is_over(runners) is
    'Whether a runner was silent for longer than its lease.';
