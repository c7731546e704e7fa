-- _next_maintenance: when a caller of maintain() should call again.
--
-- The sooner of what is due, and of its turn to look after the other runners: the turns are spread
-- so that a fleet of any size looks two or three times a second in all, and four times while old
-- tasks are being removed. Whoever suspects a runner comes back as soon as that can be confirmed.

create function _next_maintenance()
returns timestamptz
language plpgsql
volatile
set search_path from current
as $$
declare
    v_now timestamptz := clock();
    v_runners integer := (select count(*) from runners runner where runner.ended_at is null);
begin
    return greatest(
        v_now + interval '50 ms',
        least(
            _next_due(),
            (
                select min(runner.ended_at)
                from claim_batches batch
                join runners runner on runner.runner_id = batch.runner_id
                where runner.ended_at is not null
            ),
            (
                select min(batch.timeout_at)
                from claim_batches batch
                where batch.timeout_at is not null
            ),
            (
                select min(extension.timeout_at)
                from claim_extensions extension
                where extension.timeout_at is not null
            ),
            (select min(runner.lease_expires_at) from runners runner where runner.ended_at is null),
            (
                select min(runner.suspected_at) + _setting_interval('takeover_delay') * 0.9
                from runners runner
                where runner.ended_at is null and runner.suspected_at is not null
            ),
            (
                select v_now + make_interval(secs => v_runners * (0.125 + random() / 8))
                from purge_progress progress
                where progress.next_at <= v_now + interval '1 s'
            ),
            v_now + make_interval(secs => case
                when v_runners <= 2 then 0.7
                else v_runners * (0.25 + random() / 4)
            end)
        )
    );
end;
$$;

comment on function _next_maintenance() is
    'When maintain() has next something to do.';
