-- _check_context_again: steps that failed because of their task's context and were retried fail
-- again at once, unless the context fits the schema that the workflow has by now. Steps that failed
-- otherwise are left alone: their task passed the schema that was there when it was created.

create function _check_context_again(task_id bigint)
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_nestloop = on
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_step_ids bigint[] := array(
        select step.workflow_step_id
        from workflow_steps step
        cross join lateral (
            select before as transition
            from workflow_step_transitions before
            where before.workflow_step_id = step.workflow_step_id
                and before.sort_key = step.transition_count - 1
            offset 0
        ) earlier
        where step.task_id = _check_context_again.task_id and _is_unfit(earlier.transition)
    );
begin
    if v_step_ids = '{}' then
        return;
    end if;
    perform _fail_unfit(
        named_task.context_schema,
        array[task.task_id],
        array[task.context],
        v_step_ids
    )
    from tasks task
    join named_tasks named_task on named_task.named_task_id = task.named_task_id
    where task.task_id = _check_context_again.task_id
        and named_task.context_schema is not null;
end;
$$;

comment on function _check_context_again(bigint) is
    'Check the context of a task again for those of its steps that failed because of it.';
