-- list_runners: who executes steps, and how much each holds.

create function list_runners()
returns table (
    runner_id bigint,
    name text,
    queues text[],
    state text,
    held_steps integer,
    waiting_until timestamptz,
    started_at timestamptz,
    last_heartbeat_at timestamptz,
    lease_expires_at timestamptz,
    ended_at timestamptz,
    metadata jsonb
)
language plpgsql
stable
set search_path from current
as $$
begin
    return query
    select
        runner.runner_id,
        runner.name,
        runner.queues,
        case
            when runner.end_reason = 'deregistered' then 'deregistered'
            when runner.ended_at is not null or _lease_is_over(runner) then 'lost'
            else 'live'
        end,
        (select count(*)::integer from _held_claims claim where claim.runner_id = runner.runner_id),
        runner.waiting_until,
        runner.started_at,
        runner.last_heartbeat_at,
        runner.lease_expires_at,
        runner.ended_at,
        runner.metadata
    from runners runner
    order by runner.ended_at is not null, runner.runner_id;
end;
$$;

comment on function list_runners() is
    'Runners, live ones first, with what they hold.';
