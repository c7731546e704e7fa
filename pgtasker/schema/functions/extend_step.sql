-- extend_step: a long attempt asks for more time, tells its progress, or both.
--
-- Locks the step, so that the claim cannot end meanwhile.

create function extend_step(
    workflow_step_id bigint,
    claim_id bigint,
    timeout interval default null,
    progress jsonb default null
)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
    v_runner_id bigint;
begin
    perform _require('workflow_step_id', extend_step.workflow_step_id is not null);
    perform _require('claim_id', extend_step.claim_id is not null);
    perform _check_payload('progress', extend_step.progress);
    if extend_step.timeout <= '0' or extend_step.timeout > '100 years' then
        perform _refuse(
            format('timeout must be positive, not %s', extend_step.timeout),
            'It counts from now and replaces what was left of the timeout.',
            'Pass for example ''5 minutes'', or null to leave the timeout as it is.'
        );
    end if;
    select step.runner_id
    into v_runner_id
    from workflow_steps step
    where step.workflow_step_id = extend_step.workflow_step_id
        and step.claim_id = extend_step.claim_id
    for no key update;
    if v_runner_id is null then
        perform _refuse_lost_claim(extend_step.workflow_step_id, extend_step.claim_id);
    end if;
    insert into claim_extensions as known (claim_id, workflow_step_id, timeout_at, progress)
    values (
        extend_step.claim_id,
        extend_step.workflow_step_id,
        clock() + extend_step.timeout + _setting_interval('timeout_margin'),
        extend_step.progress
    )
    on conflict on constraint claim_extensions_pkey do update
    set
        timeout_at = coalesce(excluded.timeout_at, known.timeout_at),
        progress = coalesce(excluded.progress, known.progress);
end;
$$;

comment on function extend_step(bigint, bigint, interval, jsonb) is
    'Give a running attempt a new timeout from now, and note its progress.';
