-- _held_claims: what runners hold now, and when the database ends it (null: never): of what began,
-- that which the step still says.

create view _held_claims as
select
    batch.runner_id,
    begun.claim_id,
    begun.workflow_step_id,
    step.named_step_id,
    coalesce(extension.timeout_at, step.due_at + margin.margin) as timeout_at,
    extension.progress
from claim_batches batch
cross join lateral unnest(batch.step_ids, batch.claim_ids) as begun (workflow_step_id, claim_id)
cross join lateral (
    select found.claim_id, found.named_step_id, found.due_at
    from workflow_steps found
    where found.workflow_step_id = begun.workflow_step_id
    offset 0
) step
left join claim_extensions extension on extension.claim_id = begun.claim_id
cross join (
    select setting.value::interval as margin
    from settings setting
    where setting.name = 'timeout_margin'
) margin
where step.claim_id = begun.claim_id;

comment on view _held_claims is
    'Claims that are held, by whom, and when each times out.';
