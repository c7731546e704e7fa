-- _drop_reported_claims: forgets batches of a runner that ended as a whole with a report, and what
-- was extended of the claims that ended.
--
-- Looks from the lowest claim to the highest, so that it passes nothing that an old transaction
-- keeps. Takes what is free with skip locked: _drop_ended_claims does the rest.

create function _drop_reported_claims(runner_id bigint, claim_ids bigint[])
returns integer
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_first bigint;
    v_last bigint;
    v_dropped integer;
begin
    select min(ended.claim_id), max(ended.claim_id)
    into v_first, v_last
    from unnest(_drop_reported_claims.claim_ids) as ended (claim_id);
    with ended as (
        select batch.claim_id
        from claim_batches batch
        where batch.runner_id = _drop_reported_claims.runner_id
            and batch.claim_id >= v_first
            and batch.claim_id <= v_last
            and batch.claim_id = any (_drop_reported_claims.claim_ids)
            and not exists (
                select unnest(batch.claim_ids)
                except
                select unnest(_drop_reported_claims.claim_ids)
            )
        for update skip locked
    ),
    forgotten as (
        delete from claim_extensions extension
        where extension.claim_id = any (_drop_reported_claims.claim_ids)
    )
    delete from claim_batches batch
    where batch.runner_id = _drop_reported_claims.runner_id
        and batch.claim_id = any (array(select ended.claim_id from ended));
    get diagnostics v_dropped = row_count;
    return v_dropped;
end;
$$;

comment on function _drop_reported_claims(bigint, bigint[]) is
    'Drop batches of claims all of which a report just ended; returns how many.';
