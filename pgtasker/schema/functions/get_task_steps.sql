-- get_task_steps: the steps of one task, parents before children.

create function get_task_steps(task_id bigint)
returns table (
    workflow_step_id bigint,
    name text,
    state text,
    attempts integer,
    retry_limit integer,
    depends_on text[],
    results jsonb,
    error jsonb,
    created_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    due_at timestamptz,
    runner_id bigint,
    runner text,
    progress jsonb,
    ready_at timestamptz
)
language plpgsql
stable
set search_path from current
set enable_hashjoin = off
set enable_nestloop = on
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
begin
    perform _require_task(get_task_steps.task_id);
    return query
    select
        step.workflow_step_id,
        named_step.name,
        step.state,
        step.attempts,
        named_step.retry_limit,
        array(
            select parent_name.name
            from workflow_step_edges edge
            cross join lateral (
                select found.named_step_id
                from workflow_steps found
                where found.workflow_step_id = edge.parent_step_id
                offset 0
            ) parent
            join named_steps parent_name on parent_name.named_step_id = parent.named_step_id
            where edge.child_step_id = step.workflow_step_id
            order by parent_name.position
        ),
        latest.results,
        failure.error,
        task.created_at,
        attempt.created_at,
        case when step.processed then latest.created_at end,
        step.due_at,
        coalesce(step.runner_id, attempt.runner_id),
        runner.name,
        extension.progress,
        attempt.ready_at
    from workflow_steps step
    join tasks task on task.task_id = step.task_id
    join named_steps named_step on named_step.named_step_id = step.named_step_id
    left join lateral (
        select last.results, last.created_at
        from workflow_step_transitions last
        where last.workflow_step_id = step.workflow_step_id
            and last.sort_key = step.transition_count
        offset 0
    ) latest on true
    left join lateral (
        select failed.error
        from workflow_step_transitions failed
        where failed.workflow_step_id = step.workflow_step_id and failed.to_state = 'error'
        order by failed.sort_key desc
        limit 1
    ) failure on true
    left join lateral (
        select started.created_at, started.runner_id, started.ready_at
        from workflow_step_transitions started
        where started.workflow_step_id = step.workflow_step_id
            and started.to_state = 'in_progress'
        order by started.sort_key desc
        limit 1
    ) attempt on true
    left join runners runner on runner.runner_id = coalesce(step.runner_id, attempt.runner_id)
    left join claim_extensions extension on extension.claim_id = step.claim_id
    where step.task_id = get_task_steps.task_id
    order by named_step.position;
end;
$$;

comment on function get_task_steps(bigint) is
    'Steps of one task: state, attempts, results, last error, times of the last attempt, runner.';
