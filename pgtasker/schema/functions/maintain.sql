-- maintain: what time brings about, in bounded batches: due steps become ready, expired runners
-- lose their steps, attempts past their timeout fail; the log is counted into the rollups; and
-- finished tasks that are kept no longer go. Every runner calls it, a cron job may.
--
-- Everything is taken with skip locked; returns when there is next something to do.

create function maintain()
returns timestamptz
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now timestamptz := clock();
    v_lost boolean;
begin
    perform
    from housekeeping
    where housekeeping.incarnation is distinct from pg_postmaster_start_time()
    for update skip locked;
    if found then
        update housekeeping
        set incarnation = pg_postmaster_start_time(), incarnation_at = v_now;
    end if;
    perform _look_at_queues();
    perform _promote_due(1000);
    perform _suspect_runners();
    -- One of the two in a transaction: each locks tasks in ascending order, both together do not.
    v_lost := _expire_runners();
    if not v_lost then
        perform _expire_attempts();
    end if;
    perform _end_watches(1000);
    perform _roll_up();
    delete from runners runner
    where runner.ended_at < v_now - _setting_interval('runner_retention')
        and not exists (select from claim_batches batch where batch.runner_id = runner.runner_id);
    -- Not while a batch was not enough for what is due: that is more urgent.
    if not v_lost and coalesce(_next_due() > v_now, true) then
        perform _purge_due();
    end if;
    return _next_maintenance();
end;
$$;

comment on function maintain() is
    'Do what has come due; returns when to call again.';
