-- _check_tasks: tasks against the log and against their steps; none may wait for what cannot
-- happen.

create function _check_tasks()
returns table (violation text, task_id bigint, workflow_step_id bigint, details jsonb)
language sql
stable
begin atomic
    select broken.violation, task.task_id, null::bigint, to_jsonb(task) || to_jsonb(steps)
    from tasks task
    left join task_transitions latest on latest.task_id = task.task_id and latest.most_recent
    cross join lateral (
        select
            count(*) as total,
            count(*) filter (where not step.processed) as open,
            count(*) filter (where step.in_process) as in_process,
            count(*) filter (where _failures_after(step.state, step.due_at) = 1) as failures,
            count(*) filter (
                where step.in_process
                    or (step.state = 'pending' and step.unsatisfied_parents = 0)
                    or (step.state = 'error' and step.due_at is not null)
            ) as alive
        from workflow_steps step
        where step.task_id = task.task_id
    ) steps
    cross join lateral (
        values
            (
                'task state is not what the log says',
                task.state <> coalesce(latest.to_state, 'pending')
            ),
            (
                'task is paused otherwise than the log says',
                task.paused <> coalesce(latest.paused, false)
            ),
            (
                'task counts its transitions wrongly',
                task.transition_count <> coalesce(latest.sort_key, 0)
            ),
            ('task has no steps', steps.total = 0),
            (
                'task counts its failures wrongly',
                not task.complete and task.failures <> steps.failures
            ),
            ('task waits for something that cannot happen',
                task.state in ('pending', 'in_progress') and steps.alive = 0),
            ('task is in error but can go on', task.state = 'error' and steps.alive > 0),
            ('task is in error without a failure', task.state = 'error' and steps.failures = 0),
            ('task is over but has open steps',
                task.state in ('complete', 'cancelled') and steps.open > 0),
            ('task runs a step but is not in progress',
                steps.in_process > 0 and task.state <> 'in_progress')
    ) as broken (violation, holds)
    where broken.holds
    union all
    select 'transition without a task', log.task_id, null, to_jsonb(log)
    from task_transitions log
    where not exists (select from tasks task where task.task_id = log.task_id);
end;

comment on function _check_tasks() is
    'Disagreements between tasks, the log and their steps.';
