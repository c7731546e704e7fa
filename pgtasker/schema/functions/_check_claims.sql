-- _check_claims: what runners hold against what the steps say.

create function _check_claims()
returns table (violation text, task_id bigint, workflow_step_id bigint, details jsonb)
language sql
stable
begin atomic
    select
        'step and claim disagree',
        step.task_id,
        coalesce(step.workflow_step_id, claim.workflow_step_id),
        jsonb_build_object('step', to_jsonb(step), 'claim', to_jsonb(claim))
    from (
        select held.*
        from workflow_steps held
        where held.in_process
    ) step
    full join step_claims claim
        on claim.workflow_step_id = step.workflow_step_id
        and claim.claim_id = step.claim_id
        and claim.runner_id = step.runner_id
    where step.workflow_step_id is null or claim.workflow_step_id is null
    union all
    select 'claim of an unknown runner', null, claim.workflow_step_id, to_jsonb(claim)
    from step_claims claim
    where not exists (select from runners runner where runner.runner_id = claim.runner_id);
end;

comment on function _check_claims() is
    'Disagreements between claims, steps and runners.';
