-- get_step_readiness_status: readiness of the steps of one task, or of some of them.

create function get_step_readiness_status(task_id bigint, step_ids bigint[] default null)
returns setof step_readiness_statuses
language plpgsql
stable
set search_path from current
as $$
begin
    perform _require_task(get_step_readiness_status.task_id);
    return query
    select readiness.*
    from step_readiness_statuses readiness
    where readiness.task_id = get_step_readiness_status.task_id
        and (
            get_step_readiness_status.step_ids is null
            or readiness.workflow_step_id = any (get_step_readiness_status.step_ids)
        )
    order by readiness.workflow_step_id;
end;
$$;

comment on function get_step_readiness_status(bigint, bigint[]) is
    'Readiness of the steps of one task.';
