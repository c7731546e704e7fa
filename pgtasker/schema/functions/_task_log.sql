-- _task_log: the log of one task and of its steps, in no order.

create function _task_log(task_id bigint)
returns table (
    created_at timestamptz,
    entity text,
    workflow_step_id bigint,
    name text,
    from_state text,
    to_state text,
    sort_key integer,
    actor text,
    attempts integer,
    attempt_counts boolean,
    due_at timestamptz,
    reason text,
    results jsonb,
    error jsonb,
    metadata jsonb
)
language sql
stable
begin atomic
    select
        log.created_at,
        'task',
        null::bigint,
        null::text,
        log.from_state,
        log.to_state,
        log.sort_key,
        coalesce(log.actor, 'engine'),
        null::integer,
        null::boolean,
        null::timestamptz,
        coalesce(
            log.reason,
            case
                when log.from_state <> log.to_state then null
                when log.paused then 'paused'
                else 'resumed'
            end
        ),
        null::jsonb,
        null::jsonb,
        log.metadata
    from task_transitions log
    where log.task_id = _task_log.task_id
    union all
    select
        log.created_at,
        'step',
        log.workflow_step_id,
        named_step.name,
        log.from_state,
        log.to_state,
        log.sort_key,
        coalesce(log.actor, 'runner ' || runner.name, 'runner ' || log.runner_id, 'engine'),
        log.attempts,
        log.attempt_counts,
        log.due_at,
        log.reason,
        log.results,
        log.error,
        log.metadata
    from workflow_steps step
    join named_steps named_step on named_step.named_step_id = step.named_step_id
    join workflow_step_transitions log on log.workflow_step_id = step.workflow_step_id
    left join runners runner on runner.runner_id = log.runner_id
    where step.task_id = _task_log.task_id;
end;

comment on function _task_log(bigint) is
    'The log of one task and its steps, as get_task_history shows it.';
