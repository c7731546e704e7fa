-- _old_tasks: finished tasks that came to rest longer ago than is kept, in the order of their ids:
-- as many as are asked for, from a stretch of tasks behind the given one.
--
-- By id, as no index says when a task came to rest: that would cost every completion. The last id
-- says where to go on; null: what follows is too young, or there is nothing.

create function _old_tasks(
    after_task_id bigint,
    older_than interval,
    max_tasks integer,
    max_steps integer,
    out task_ids bigint[],
    out last_task_id bigint
)
language plpgsql
stable
set search_path from current
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    v_now timestamptz := clock();
    v_default interval := (
        select nullif(setting.value, 'forever')::interval
        from settings setting
        where setting.name = 'retention'
    );
    v_shortest interval := coalesce(
        _old_tasks.older_than,
        least(
            v_default,
            (
                select make_interval(secs => min(workflow.retention_seconds))
                from named_tasks workflow
            )
        )
    );
    v_old bigint[];
begin
    _old_tasks.task_ids := '{}';
    if v_shortest is null then
        return;
    end if;
    v_old := array(
        select near.task_id
        from (
            select task.task_id, task.named_task_id, task.transition_count, task.complete
            from tasks task
            where task.task_id > _old_tasks.after_task_id
            order by task.task_id
            limit 5000
        ) near
        cross join lateral (
            select log.created_at
            from task_transitions log
            where log.task_id = near.task_id and log.sort_key = near.transition_count
            offset 0
        ) rest
        cross join lateral (
            select coalesce(make_interval(secs => workflow.retention_seconds), v_default) as kept
            from named_tasks workflow
            where workflow.named_task_id = near.named_task_id
            offset 0
        ) of_workflow
        where near.complete
            and rest.created_at < v_now - coalesce(_old_tasks.older_than, of_workflow.kept)
        order by near.task_id
        limit _old_tasks.max_tasks
    );
    _old_tasks.task_ids := array(
        select counted.task_id
        from (
            select
                old.task_id,
                sum(size.steps) over (order by old.task_id) - size.steps as steps_before
            from unnest(v_old) as old (task_id)
            cross join lateral (
                select count(*) as steps from workflow_steps step where step.task_id = old.task_id
            ) size
        ) counted
        where counted.steps_before < _old_tasks.max_steps
        order by counted.task_id
    );
    if cardinality(v_old) = _old_tasks.max_tasks
        or cardinality(_old_tasks.task_ids) < cardinality(v_old)
    then
        _old_tasks.last_task_id := _old_tasks.task_ids[cardinality(_old_tasks.task_ids)];
    else
        _old_tasks.last_task_id := (
            select case when task.created_at < v_now - v_shortest then task.task_id end
            from tasks task
            where task.task_id > _old_tasks.after_task_id
            order by task.task_id
            offset 4999
            limit 1
        );
    end if;
end;
$$;

comment on function _old_tasks(bigint, interval, integer, integer) is
    'Finished tasks that are kept no longer, and where to look on.';
