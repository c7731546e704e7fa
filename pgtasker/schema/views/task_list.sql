-- task_list: which tasks are there? One row each, for lists and filters.

create view task_list as
select
    task.task_id,
    named_task.namespace,
    named_task.name,
    named_task.version,
    task.state,
    task.complete,
    task.paused,
    task.priority,
    task.tags,
    task.initiator,
    task.idempotency_key,
    steps.total_steps,
    steps.processed_steps,
    steps.failed_steps,
    round(100.0 * steps.processed_steps / nullif(steps.total_steps, 0), 1) as progress,
    task.run_at,
    task.created_at,
    (
        select min(started.created_at)
        from task_transitions started
        where started.task_id = task.task_id and started.to_state = 'in_progress'
    ) as started_at,
    (
        select finished.created_at
        from task_transitions finished
        where finished.task_id = task.task_id and finished.most_recent and task.complete
    ) as finished_at
from tasks task
join named_tasks named_task on named_task.named_task_id = task.named_task_id
left join lateral (
    select
        count(*)::integer as total_steps,
        (count(*) filter (where step.processed))::integer as processed_steps,
        (count(*) filter (where step.state = 'error'))::integer as failed_steps
    from workflow_steps step
    where step.task_id = task.task_id
) steps on true;

comment on view task_list is
    'Every task with its workflow, state, progress and times.';
