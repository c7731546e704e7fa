-- get_step_readiness_status_batch: readiness of the steps of several tasks, in one call.
--
-- Ids that name no task have no rows: a list that was read a moment ago is no mistake.

create function get_step_readiness_status_batch(task_ids bigint[])
returns setof step_readiness_statuses
language plpgsql
stable
set search_path from current
as $$
begin
    perform _require('task_ids', get_step_readiness_status_batch.task_ids is not null);
    return query
    select readiness.*
    from step_readiness_statuses readiness
    where readiness.task_id = any (get_step_readiness_status_batch.task_ids)
    order by readiness.task_id, readiness.workflow_step_id;
end;
$$;

comment on function get_step_readiness_status_batch(bigint[]) is
    'Readiness of the steps of several tasks.';
