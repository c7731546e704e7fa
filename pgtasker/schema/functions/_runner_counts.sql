-- _runner_counts: the runners, and what they hold. Stalled is a claim whose runner is gone or whose
-- timeout is over: maintain() is about to take it back.

create function _runner_counts(at timestamptz)
returns table (live integer, waiting integer, lost integer, claims bigint, stalled bigint)
language sql
stable
begin atomic
    with runner as materialized (
        select known.*, known.ended_at is null and not _lease_is_over(known) as is_live
        from runners known
    )
    select
        fleet.live,
        fleet.waiting,
        fleet.lost,
        held.claims,
        held.stalled
    from (
        select
            count(*) filter (where runner.is_live)::integer as live,
            count(*) filter (where runner.is_live and runner.waiting_until is not null)::integer
                as waiting,
            count(*) filter (
                where not runner.is_live and runner.end_reason is distinct from 'deregistered'
            )::integer as lost
        from runner
    ) fleet
    cross join (
        select
            count(*) as claims,
            count(*) filter (
                where not runner.is_live or claim.timeout_at <= _runner_counts.at
            ) as stalled
        from _held_claims claim
        join runner on runner.runner_id = claim.runner_id
    ) held;
end;

comment on function _runner_counts(timestamptz) is
    'How many runners live, wait or are lost, and how many claims they hold.';
