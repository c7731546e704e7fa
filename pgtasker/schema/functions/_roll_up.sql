-- _roll_up: counts what the log has gained into the rollups, once in five seconds, whoever calls.
--
-- Goes by transactions: below the oldest that is still open everything is seen, and nothing comes
-- later. A few at once, more if they bring little, fewer if they bring much. Holds the row of
-- rollup_progress: others skip the look, nobody waits.

create function _roll_up()
returns void
language plpgsql
volatile
set search_path from current
set jit = off
as $$
declare
    v_now timestamptz := clock();
    v_progress rollup_progress;
    v_horizon bigint := txid_snapshot_xmin(txid_current_snapshot());
    v_end bigint;
    v_counted bigint;
begin
    select progress.*
    into v_progress
    from rollup_progress progress
    where progress.rolled_up_at <= v_now - interval '5 s' or progress.rolled_up_at > v_now
    for update skip locked;
    if not found then
        return;
    end if;
    if v_progress.next_xact_id > txid_snapshot_xmax(txid_current_snapshot()) then
        -- A restored database counts its transactions anew; what it brought along was counted.
        v_progress.next_xact_id := v_horizon;
        v_progress.begins_at := v_now;
    end if;
    v_end := least(v_horizon, v_progress.next_xact_id + v_progress.xacts_at_once);
    v_counted := _count_facts(v_progress.next_xact_id, v_end, v_progress);
    update rollup_progress
    set
        next_xact_id = greatest(v_progress.next_xact_id, v_end),
        begins_at = v_progress.begins_at,
        xacts_at_once = case
            when v_counted > 20000 then greatest(10, v_progress.xacts_at_once / 4)
            when v_counted < 2000 then least(1000000000, v_progress.xacts_at_once * 4)
            else v_progress.xacts_at_once
        end,
        -- Behind: the next call goes on at once.
        rolled_up_at = case when v_end < v_horizon then rolled_up_at else v_now end;
    if v_progress.days_until < v_now - interval '3 days' then
        perform _merge_a_day(v_progress.days_until);
    end if;
    delete from rollups rollup
    where rollup.bucket_at > '-infinity'
        and rollup.bucket_at < v_now - make_interval(days => _rollup_days());
    delete from slowest
    where slowest.bucket_at < v_now - make_interval(days => _rollup_days());
end;
$$;

comment on function _roll_up() is
    'Count what the log has gained into the rollups.';
