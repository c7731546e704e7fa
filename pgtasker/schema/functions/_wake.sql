-- _wake: for each queue, notifies one runner that sleeps beyond the given time.
--
-- Reads the marks of sleeping runners and never writes them; NOTIFY takes a cluster-wide lock at
-- commit, so nothing is sent while every runner is busy. A session may turn it off. A runner that
-- only polls says so in its metadata, or it would take the place of one that hears.

create function _wake(queues text[], due_at timestamptz)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
begin
    if current_setting('pgtasker.notify', true) in ('off', 'false', 'no', '0') then
        return;
    end if;
    perform pg_notify(wake_up_channel(sleeper.runner_id), '')
    from (
        select distinct on (queue.queue) runner.runner_id
        from runners runner
        join unnest(_wake.queues) as queue (queue) on queue.queue = any (runner.queues)
        where runner.waiting_until is not null
            and (_wake.due_at <= clock() or runner.waiting_until > _wake.due_at)
            and runner.lease_expires_at > clock()
            and not runner.metadata @> '{"listens": false}'
        order by queue.queue, runner.last_heartbeat_at desc
    ) sleeper;
end;
$$;

comment on function _wake(text[], timestamptz) is
    'Wake one sleeping runner of each queue, if there is one.';
