-- _suspect_runners: a runner whose session lock is free may have died. Looks once a second; a
-- second look, without a heartbeat in between, confirms it in _expire_runners.
--
-- Only locks taken in this server incarnation count: a restart frees all of them.

create function _suspect_runners()
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now timestamptz := clock();
begin
    perform
    from housekeeping
    where housekeeping.probed_at <= v_now - interval '900 ms' or housekeeping.probed_at > v_now
    for update skip locked;
    if not found then
        return;
    end if;
    update housekeeping set probed_at = v_now;
    with held as materialized (
        select (lock.classid::bigint << 32) | lock.objid::bigint as key
        from pg_locks lock
        where lock.locktype = 'advisory'
            and lock.objsubid = 1
            and lock.granted
            and lock.database = (
                select database.oid
                from pg_database database
                where database.datname = current_database()
            )
    ),
    suspect as (
        select runner.runner_id
        from runners runner
        where runner.ended_at is null
            and runner.lock_pid is not null
            and runner.incarnation = pg_postmaster_start_time()
            and (runner.suspected_at is null)
                <> (_runner_lock_key(runner.runner_id) in (select held.key from held))
        for no key update skip locked
    )
    update runners runner
    set suspected_at = case when runner.suspected_at is null then v_now end
    from suspect
    where runner.runner_id = suspect.runner_id;
end;
$$;

comment on function _suspect_runners() is
    'Note runners that lost their session lock.';
