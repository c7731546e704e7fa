-- register_runner: a process makes itself known. Call it on the connection that stays open (the
-- control connection): the session lock taken here tells others that the process lives. A runner
-- that never listens says {"listens": false} in its metadata, and is not woken.

create function register_runner(
    name text,
    queues text[] default '{default}',
    metadata jsonb default '{}'
)
returns bigint
language plpgsql
volatile
set search_path from current
as $$
declare
    v_runner_id bigint;
begin
    perform _require('name', nullif(register_runner.name, '') is not null);
    perform _check_context('metadata', register_runner.metadata);
    if coalesce(cardinality(register_runner.queues), 0) = 0
        or exists (
            select
            from unnest(register_runner.queues) as queue (queue)
            where coalesce(queue.queue, '') = ''
        )
    then
        perform _refuse(
            format('a runner needs queues, not %s', coalesce(register_runner.queues::text, 'null')),
            'Each queue is a non-empty name; there must be at least one.',
            'Pass for example array[''default''].'
        );
    end if;
    insert into runners (
        name, queues, metadata, started_at, last_heartbeat_at, lease_expires_at, incarnation
    )
    values (
        register_runner.name,
        array(select distinct unnest(register_runner.queues) order by 1),
        register_runner.metadata,
        clock(),
        clock(),
        clock() + _setting_interval('lease'),
        pg_postmaster_start_time()
    )
    returning runners.runner_id into v_runner_id;
    if pg_try_advisory_lock(_runner_lock_key(v_runner_id)) then
        update runners runner
        set lock_pid = pg_backend_pid()
        where runner.runner_id = v_runner_id;
    end if;
    return v_runner_id;
end;
$$;

comment on function register_runner(text, text[], jsonb) is
    'Register a runner for some queues; returns its runner_id.';
