-- _pass_over: new transitions take the place of those that were the most recent, given as steps and
-- their sort_keys. Returns how many.

create function _pass_over(step_ids bigint[], sort_keys integer[])
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
    v_passed integer;
begin
    update workflow_step_transitions log
    set most_recent = false
    from unnest(_pass_over.step_ids, _pass_over.sort_keys)
        as earlier (workflow_step_id, sort_key)
    where log.workflow_step_id = any (_pass_over.step_ids)
        and log.sort_key = any (_pass_over.sort_keys)
        and log.workflow_step_id + 0 = earlier.workflow_step_id
        and log.sort_key + 0 = earlier.sort_key;
    get diagnostics v_passed = row_count;
    return v_passed;
end;
$$;

comment on function _pass_over(bigint[], integer[]) is
    'Transitions are no longer the most recent.';
