-- release_step: a runner hands a step back untouched; it becomes ready again, now or after a delay.
--
-- The attempt does not count: shutting down or waiting for something is not failing. Locks the
-- step.

create function release_step(workflow_step_id bigint, claim_id bigint, delay interval default '0')
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
begin
    perform _require('delay', release_step.delay is not null);
    perform _check_delay('delay', extract(epoch from release_step.delay));
    perform _report_one(
        release_step.workflow_step_id,
        release_step.claim_id,
        jsonb_build_object('outcome', 'release', 'delay', extract(epoch from release_step.delay))
    );
end;
$$;

comment on function release_step(bigint, bigint, interval) is
    'Hand a claimed step back without using up an attempt.';
