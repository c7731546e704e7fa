-- _renew_timeouts: batches whose time came tell when the next of their attempts is due, and
-- extensions whose time came are gone with their attempts. What could not be failed yet stays due.
--
-- Takes what is free with skip locked: another caller does the same with the rest.

create function _renew_timeouts(due_at timestamptz, margin interval)
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
    with due as (
        select batch.runner_id, batch.claim_id, batch.step_ids, batch.claim_ids
        from claim_batches batch
        where batch.timeout_at <= _renew_timeouts.due_at
        for update skip locked
    )
    update claim_batches batch
    set timeout_at = next.timeout_at
    from due
    cross join lateral (
        select min(step.due_at) + _renew_timeouts.margin as timeout_at
        from unnest(due.step_ids, due.claim_ids) as begun (workflow_step_id, claim_id)
        cross join lateral (
            select found.claim_id, found.due_at
            from workflow_steps found
            where found.workflow_step_id = begun.workflow_step_id
            offset 0
        ) step
        left join claim_extensions extension on extension.claim_id = begun.claim_id
        where step.claim_id = begun.claim_id and extension.timeout_at is null
    ) next
    where batch.runner_id = due.runner_id
        and batch.claim_id = due.claim_id
        and batch.timeout_at is distinct from next.timeout_at;
    with due as (
        select known.claim_id, known.workflow_step_id
        from claim_extensions known
        where known.timeout_at <= _renew_timeouts.due_at
        for update skip locked
    )
    delete from claim_extensions known
    using due
    left join lateral (
        select found.claim_id
        from workflow_steps found
        where found.workflow_step_id = due.workflow_step_id
        offset 0
    ) step on true
    where known.claim_id = due.claim_id and step.claim_id is distinct from due.claim_id;
end;
$$;

comment on function _renew_timeouts(timestamptz, interval) is
    'When batches of claims are to be looked at next for attempts that are past their timeout.';
