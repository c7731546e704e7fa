-- _refuse_used_claims: a step that was claimed before needs a greater claim_id than it ever had,
-- and no claim_id names two batches.

create function _refuse_used_claims(step_ids bigint[])
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_nestloop = on
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
begin
    perform _refuse(
        format('claim_id %s of step %s is not new', step.claim_id, step.workflow_step_id),
        'A claim_id is never used again: it tells a stale runner from the one that holds it.',
        'Leave claim_id out; the next one is filled in.',
        'object_not_in_prerequisite_state'
    )
    from workflow_steps step
    cross join lateral (
        select max(log.claim_id) as claim_id
        from workflow_step_transitions log
        where log.workflow_step_id = step.workflow_step_id and log.sort_key < step.transition_count
        offset 0
    ) earlier
    where step.workflow_step_id = any (_refuse_used_claims.step_ids)
        and step.state = 'in_progress'
        and (
            step.claim_id <= earlier.claim_id
            or exists (
                select
                from claim_batches known
                where known.runner_id = step.runner_id and known.claim_id = step.claim_id
            )
        );
end;
$$;

comment on function _refuse_used_claims(bigint[]) is
    'Refuse claims of steps that had them, or later ones, before.';
