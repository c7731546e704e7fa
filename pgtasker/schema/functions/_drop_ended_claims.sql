-- _drop_ended_claims: forgets batches of some runners of which nothing is held any more. What ended
-- under a claim never begins again under it, so whoever looks late is right all the same.
--
-- Takes what is free with skip locked: somebody else is about to drop the rest.

create function _drop_ended_claims(runner_ids bigint[])
returns integer
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = on
set enable_nestloop = off
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_dropped integer;
begin
    with begun as materialized (
        select
            batch.claim_id as batch_id,
            unnest(batch.step_ids) as workflow_step_id,
            unnest(batch.claim_ids) as claim_id
        from claim_batches batch
        where batch.runner_id = any (_drop_ended_claims.runner_ids)
    ),
    held as (
        select distinct begun.batch_id
        from workflow_steps step
        join begun
            on begun.workflow_step_id = step.workflow_step_id
            and begun.claim_id = step.claim_id
        where step.workflow_step_id = any (array(select begun.workflow_step_id from begun))
            and step.claim_id is not null
    ),
    ended as (
        select batch.claim_id
        from claim_batches batch
        where batch.runner_id = any (_drop_ended_claims.runner_ids)
            and batch.claim_id = any (array(select begun.batch_id from begun))
            and batch.claim_id <> all (array(select held.batch_id from held))
        for update skip locked
    ),
    dropped as (
        delete from claim_batches batch
        where batch.runner_id = any (_drop_ended_claims.runner_ids)
            and batch.claim_id = any (array(select ended.claim_id from ended))
        returning batch.claim_ids
    ),
    forgotten as (
        delete from claim_extensions extension
        where extension.claim_id = any (
            array(select unnest(dropped.claim_ids) from dropped)
        )
    )
    select count(*)
    into v_dropped
    from dropped;
    return v_dropped;
end;
$$;

comment on function _drop_ended_claims(bigint[]) is
    'Drop batches of claims of which nothing is held; returns how many.';
