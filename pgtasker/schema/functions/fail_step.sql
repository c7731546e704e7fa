-- fail_step: the attempt failed; the engine decides whether and when there is another.
--
-- retry_after replaces the backoff of the step. Locks the step.

create function fail_step(
    workflow_step_id bigint,
    claim_id bigint,
    error jsonb,
    retryable boolean default true,
    retry_after interval default null
)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
begin
    perform _require('error', fail_step.error is not null);
    perform _require('retryable', fail_step.retryable is not null);
    perform _check_payload('error', fail_step.error);
    perform _check_delay('retry_after', extract(epoch from fail_step.retry_after));
    perform _report_one(
        fail_step.workflow_step_id,
        fail_step.claim_id,
        jsonb_build_object(
            'outcome', 'fail',
            'error', fail_step.error,
            'retryable', fail_step.retryable,
            'retry_after', extract(epoch from fail_step.retry_after)
        )
    );
end;
$$;

comment on function fail_step(bigint, bigint, jsonb, boolean, interval) is
    'Report that a claimed step failed.';
