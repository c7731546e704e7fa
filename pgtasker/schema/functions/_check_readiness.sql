-- _check_readiness: what the views say of unfinished steps against what the log and the edges say.
--
-- A step that the view misses is one that the queue misses: _check_queue says so. Whether a step is
-- ready is left out while it is just coming due: both sides ask the clock.

create function _check_readiness()
returns table (violation text, task_id bigint, workflow_step_id bigint, details jsonb)
language sql
stable
begin atomic
    select
        'readiness is not what the log says',
        derived.task_id,
        derived.workflow_step_id,
        jsonb_build_object('view', to_jsonb(shown), 'log', to_jsonb(derived))
    from _derived_readiness() derived
    join active_step_readiness_statuses shown
        on shown.workflow_step_id = derived.workflow_step_id
    where to_jsonb(shown) - 'ready_for_execution'
        is distinct from to_jsonb(derived) - 'ready_for_execution'
        or (
            shown.ready_for_execution is distinct from derived.ready_for_execution
            and (
                derived.next_retry_at
                between clock() - interval '5 s' and clock() + interval '5 s'
            ) is not true
        );
end;

comment on function _check_readiness() is
    'Disagreements between the readiness views and the log.';
