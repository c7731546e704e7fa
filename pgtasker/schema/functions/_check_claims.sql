-- _check_claims: what runners hold against what the steps say.

create function _check_claims()
returns table (violation text, task_id bigint, workflow_step_id bigint, details jsonb)
language sql
stable
begin atomic
    select
        'step and claim disagree',
        step.task_id,
        step.workflow_step_id,
        jsonb_build_object('step', to_jsonb(step), 'claims', claim.claims)
    from (
        select held.*
        from workflow_steps held
        where held.in_process
    ) step
    left join (
        select held.workflow_step_id, held.claim_id, held.runner_id, count(*) as claims
        from _held_claims held
        group by held.workflow_step_id, held.claim_id, held.runner_id
    ) claim
        on claim.workflow_step_id = step.workflow_step_id
        and claim.claim_id = step.claim_id
        and claim.runner_id = step.runner_id
    where claim.claims is distinct from 1
    union all
    select 'claim of an unknown runner', null, batch.step_ids[1], to_jsonb(batch)
    from claim_batches batch
    where not exists (select from runners runner where runner.runner_id = batch.runner_id)
    union all
    select
        'extension without a claim', null, extension.workflow_step_id, to_jsonb(extension)
    from claim_extensions extension
    where not exists (
        select from claim_batches batch where extension.claim_id = any (batch.claim_ids)
    );
end;

comment on function _check_claims() is
    'Disagreements between claims, steps and runners.';
