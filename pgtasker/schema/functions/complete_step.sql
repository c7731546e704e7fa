-- complete_step: the attempt succeeded; its results go to the children.
--
-- Locks the step and its children.

create function complete_step(workflow_step_id bigint, claim_id bigint, results jsonb default null)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
begin
    perform _check_payload('results', complete_step.results);
    perform _report_one(
        complete_step.workflow_step_id,
        complete_step.claim_id,
        jsonb_build_object('outcome', 'complete', 'results', complete_step.results)
    );
end;
$$;

comment on function complete_step(bigint, bigint, jsonb) is
    'Report that a claimed step succeeded.';
