-- _tell_watchers: whoever brings tasks to rest notifies those who wait for them, if there are any:
-- NOTIFY takes a cluster-wide lock at commit. A session may turn it off, and leaves the watches.
-- Returns of how many tasks somebody was told.
--
-- Reads the watches without a lock and removes those that nobody else is at: waits for nobody.
-- No statement has a join, so there is one way to execute it: by the primary key.

create function _tell_watchers(task_ids bigint[])
returns integer
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
    v_task_ids bigint[];
    v_channels text[];
begin
    if current_setting('pgtasker.notify', true) in ('off', 'false', 'no', '0') then
        return 0;
    end if;
    select array_agg(watch.task_id), array_agg(watch.channel)
    into v_task_ids, v_channels
    from task_watches watch
    where watch.task_id = any (_tell_watchers.task_ids) and watch.ends_at > clock();
    if v_task_ids is null then
        return 0;
    end if;

    perform pg_notify(watch.channel, watch.task_id::text)
    from unnest(v_task_ids, v_channels) as watch (task_id, channel);
    delete from task_watches watch
    where watch.task_id = any (v_task_ids)
        and watch.watch_id = any (
            array(
                select free.watch_id
                from task_watches free
                where free.task_id = any (v_task_ids)
                for update skip locked
            )
        );
    return cardinality(v_task_ids);
end;
$$;

comment on function _tell_watchers(bigint[]) is
    'Notify those who wait for tasks that came to rest.';
