-- _drop_stale_rows: queue rows, locked by the caller, whose step is no longer claimable; one whose
-- step is locked by another is left.

create function _drop_stale_rows(step_ids bigint[])
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_nestloop = on
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
begin
    delete from step_queue stale
    where stale.workflow_step_id = any (
        array(
            select step.workflow_step_id
            from workflow_steps step
            where step.workflow_step_id = any (_drop_stale_rows.step_ids)
                and not (step.state = 'pending' and step.unsatisfied_parents = 0)
            order by step.workflow_step_id
            for update skip locked
        )
    );
end;
$$;

comment on function _drop_stale_rows(bigint[]) is
    'Drop queue rows of steps that cannot be claimed.';
