-- _tell_watchers: whoever brings a task to rest notifies those who wait for it, if there are any:
-- NOTIFY takes a cluster-wide lock at commit. A session may turn it off, and leaves the watches.
--
-- Reads the watches without a lock and removes those that nobody else is at: waits for nobody.

create function _tell_watchers()
returns trigger
language plpgsql
volatile
set search_path from current
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    v_task_ids bigint[];
    v_channels text[];
begin
    if current_setting('pgtasker.notify', true) in ('off', 'false', 'no', '0') then
        return null;
    end if;
    select array_agg(watch.task_id), array_agg(watch.channel)
    into v_task_ids, v_channels
    from entered
    cross join lateral (
        select found.task_id, found.channel, found.ends_at
        from task_watches found
        where found.task_id = entered.task_id
        offset 0
    ) watch
    where _task_is_at_rest(entered.to_state)
        and entered.from_state <> entered.to_state
        and watch.ends_at > clock();
    if v_task_ids is null then
        return null;
    end if;

    perform pg_notify(watch.channel, watch.task_id::text)
    from unnest(v_task_ids, v_channels) as watch (task_id, channel);
    delete from task_watches watch
    using (
        select found.task_id, found.watch_id
        from task_watches found
        where found.task_id = any (v_task_ids)
        for update skip locked
    ) free
    where watch.task_id = free.task_id and watch.watch_id = free.watch_id;
    return null;
end;
$$;

comment on function _tell_watchers() is
    'Notifies those who wait for tasks that came to rest.';

create trigger d_tell_watchers
after insert on task_transitions
referencing new table as entered
for each statement
execute function _tell_watchers();

comment on trigger d_tell_watchers on task_transitions is
    'Those who wait for a task learn of its end.';
