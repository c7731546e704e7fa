-- _check_queue: the queue against readiness as it derives from the log and the edges.

create function _check_queue()
returns table (violation text, task_id bigint, workflow_step_id bigint, details jsonb)
language sql
stable
begin atomic
    with expected as (
        select
            readiness.workflow_step_id,
            readiness.task_id,
            readiness.current_state,
            greatest(readiness.next_retry_at, task.run_at) as due_at,
            coalesce(task.priority, named_step.priority) as priority,
            named_step.queue
        from _derived_readiness() readiness
        join tasks task on task.task_id = readiness.task_id
        join named_steps named_step on named_step.named_step_id = readiness.named_step_id
        where not task.paused
            and readiness.current_state in ('pending', 'error')
            and readiness.dependencies_satisfied
            and readiness.retry_eligible
    )
    select
        case
            when waiting.workflow_step_id is null then 'step can run but is not in the queue'
            when expected.workflow_step_id is null then 'queue row of a step that cannot run'
            when waiting.queue <> expected.queue or waiting.priority <> expected.priority
                then 'queue row with the wrong queue or priority'
            when waiting.is_retry <> (expected.current_state = 'error')
                then 'queue row that is wrong about a retry'
            else 'queue row with the wrong time'
        end,
        expected.task_id,
        coalesce(expected.workflow_step_id, waiting.workflow_step_id),
        jsonb_build_object('queue_row', to_jsonb(waiting), 'expected', to_jsonb(expected))
    from expected
    full join step_queue waiting on waiting.workflow_step_id = expected.workflow_step_id
    where waiting.workflow_step_id is null
        or expected.workflow_step_id is null
        or waiting.queue <> expected.queue
        or waiting.priority <> expected.priority
        or waiting.is_retry <> (expected.current_state = 'error')
        or case
            when waiting.due_at is null then
                expected.due_at > clock() or expected.current_state = 'error'
            else waiting.due_at is distinct from expected.due_at
        end;
end;

comment on function _check_queue() is
    'Disagreements between the queue and readiness.';
