-- get_task_history: the log of one task and its steps, in order.
--
-- Order within an entity is by sort_key; between entities by time, for the reader.

create function get_task_history(task_id bigint)
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
    perform _require_task(get_task_history.task_id);
    return query
    select entry.*
    from (
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
        where log.task_id = get_task_history.task_id
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
        cross join lateral (
            select entered.*
            from workflow_step_transitions entered
            where entered.workflow_step_id = step.workflow_step_id
            offset 0
        ) log
        left join runners runner on runner.runner_id = log.runner_id
        where step.task_id = get_task_history.task_id
    ) as entry (
        created_at, entity, workflow_step_id, name, from_state, to_state, sort_key,
        actor, attempts, attempt_counts, due_at, reason, results, error, metadata
    )
    order by
        max(entry.created_at) over (
            partition by entry.workflow_step_id
            order by entry.sort_key
        ),
        entry.workflow_step_id nulls first,
        entry.sort_key;
end;
$$;

comment on function get_task_history(bigint) is
    'The log of one task and its steps: what happened, when, by whom and why.';
