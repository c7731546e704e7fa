-- _begun: of the steps that a caller just started, those that are in progress now.

create function _begun(step_ids bigint[])
returns bigint[]
language plpgsql
stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
    return array(
        select step.workflow_step_id
        from workflow_steps step
        where step.workflow_step_id = any (_begun.step_ids) and step.state = 'in_progress'
    );
end;
$$;

comment on function _begun(bigint[]) is
    'Those of some steps, which their caller has locked, that are in progress.';
