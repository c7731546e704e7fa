-- _retry_delay: how long after a failed attempt a step is tried again; null: never. What the
-- handler asked for replaces the backoff.

create function _retry_delay(
    named_step_id bigint,
    attempts integer,
    retryable boolean,
    retry_after double precision
)
returns interval
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
    return (
        select make_interval(
            secs => coalesce(
                _retry_delay.retry_after, _backoff_seconds(named_step, _retry_delay.attempts)
            )
        )
        from named_steps named_step
        where named_step.named_step_id = _retry_delay.named_step_id
            and _retry_delay.retryable
            and named_step.retryable
            and _retry_delay.attempts < named_step.retry_limit
    );
end;
$$;

comment on function _retry_delay(bigint, integer, boolean, double precision) is
    'How long after a failure a step is tried again, null if it is not.';
