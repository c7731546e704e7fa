-- get_task: everything about one task, in one row.

create function get_task(task_id bigint)
returns setof task_detail
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
    perform _require_task(get_task.task_id);
    return query
    select
        listed.task_id,
        listed.namespace,
        listed.name,
        listed.version,
        listed.state,
        listed.complete,
        listed.paused,
        listed.priority,
        task.context,
        outcome.results,
        outcome.error,
        listed.tags,
        listed.idempotency_key,
        listed.initiator,
        task.source_system,
        task.reason,
        listed.run_at,
        listed.created_at,
        listed.started_at,
        listed.finished_at,
        listed.total_steps,
        listed.processed_steps,
        listed.failed_steps
    from task_list listed
    join tasks task on task.task_id = listed.task_id
    cross join lateral (
        select
            coalesce(
                jsonb_object_agg(named_step.name, finish.results) filter (
                    where named_step.is_leaf and _step_satisfies_children(step.state)
                ),
                '{}'
            ) as results,
            jsonb_object_agg(
                named_step.name,
                finish.error
            ) filter (where step.state = 'error') as error
        from workflow_steps step
        join named_steps named_step on named_step.named_step_id = step.named_step_id
        cross join lateral (
            select latest.results, latest.error
            from workflow_step_transitions latest
            where latest.workflow_step_id = step.workflow_step_id
                and latest.sort_key = step.transition_count
            offset 0
        ) finish
        where step.task_id = listed.task_id
    ) outcome
    where listed.task_id = get_task.task_id;
end;
$$;

comment on function get_task(bigint) is
    'One task: its workflow, state, context, results of its leaf steps, errors and times.';
