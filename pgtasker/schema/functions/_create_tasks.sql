-- _create_tasks: the rows of new tasks, their steps and edges; roots go to the queue.
--
-- A key that is taken leaves its row out; the task that has it is compared and returned. A new task
-- whose context does not fit the schema of its workflow fails at once.

create function _create_tasks(
    workflow named_tasks,
    version_given boolean,
    contexts jsonb[],
    idempotency_keys text[],
    priority integer,
    run_at timestamptz,
    initiator text,
    source_system text,
    reason text,
    tags text[],
    bypass_steps text[]
)
returns bigint[]
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
    v_now timestamptz := clock();
    v_task_ids bigint[];
    v_created bigint[];
    v_roots integer;
    v_keyed boolean := array_remove(_create_tasks.idempotency_keys, null) <> '{}';
begin
    if _create_tasks.tags is null or array_position(_create_tasks.tags, null) is not null then
        perform _require('tags', false);
    end if;
    if v_keyed then
        perform _refuse(
            format('idempotency key of %s characters', length(given.idempotency_key)),
            format('It starts with %s.', to_json(left(given.idempotency_key, 50))),
            'Use 1 to 500 characters, for example a hash of what identifies the work.'
        )
        from unnest(_create_tasks.idempotency_keys) as given (idempotency_key)
        where length(given.idempotency_key) not between 1 and 500;
    end if;
    v_task_ids := array(
        select nextval('tasks_task_id_seq')
        from generate_series(1, cardinality(_create_tasks.contexts))
    );
    with created as (
        insert into tasks (
            task_id, named_task_id, idempotency_scope, created_at, run_at, priority,
            idempotency_key, tags, initiator, source_system, reason, context
        )
        select
            given.task_id,
            workflow.named_task_id,
            case when given.idempotency_key is not null then workflow.family_id end,
            v_now,
            _create_tasks.run_at,
            _create_tasks.priority,
            given.idempotency_key,
            _create_tasks.tags,
            _create_tasks.initiator,
            _create_tasks.source_system,
            _create_tasks.reason,
            given.context
        from unnest(v_task_ids, _create_tasks.contexts, _create_tasks.idempotency_keys)
            as given (task_id, context, idempotency_key)
        order by given.idempotency_key, given.task_id
        on conflict (idempotency_scope, idempotency_key)
            where idempotency_key is not null do nothing
        returning tasks.task_id
    )
    select array_agg(created.task_id order by created.task_id)
    into v_created
    from created;

    v_roots := _create_steps(workflow, v_created);
    if _create_tasks.bypass_steps <> '{}' then
        insert into workflow_step_transitions (
            workflow_step_id, sort_key, from_state, to_state, attempts, actor, reason
        )
        select step.workflow_step_id, 1, 'pending', 'skipped', 0,
            coalesce(_create_tasks.initiator, session_user), 'bypassed at the start'
        from workflow_steps step
        join named_steps named_step on named_step.named_step_id = step.named_step_id
        where step.task_id = any (v_created)
            and named_step.name = any (_create_tasks.bypass_steps);
    end if;
    if workflow.context_schema is not null and v_created is not null then
        -- The ids that a key left unused name no task.
        perform _fail_unfit(workflow.context_schema, v_task_ids, _create_tasks.contexts);
    end if;
    if v_keyed then
        return _keyed_tasks(
            workflow,
            version_given,
            v_task_ids,
            _create_tasks.contexts,
            _create_tasks.idempotency_keys
        );
    end if;
    return v_task_ids;
end;
$$;

comment on function _create_tasks(
    named_tasks, boolean, jsonb[], text[], integer, timestamptz, text, text, text, text[], text[]
) is
    'Create tasks from checked input; returns their ids in the order of the contexts.';
