-- create_task: starts one run of a workflow, inside the caller's own transaction.
--
-- Waits only for another open transaction that creates a task with the same idempotency key.

create function create_task(
    name text,
    context jsonb default '{}',
    namespace text default 'default',
    version text default null,
    idempotency_key text default null,
    priority int default null,
    run_at timestamptz default null,
    initiator text default null,
    source_system text default null,
    reason text default null,
    tags text[] default '{}',
    bypass_steps text[] default '{}'
)
returns bigint
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_workflow named_tasks := _find_workflow(
        create_task.name,
        create_task.namespace,
        create_task.version
    );
    v_context jsonb := _check_context('context', create_task.context);
begin
    if create_task.bypass_steps is distinct from '{}' then
        perform _check_bypass(v_workflow, create_task.bypass_steps);
    end if;
    return (
        _create_tasks(
            v_workflow,
            create_task.version is not null,
            array[v_context],
            array[create_task.idempotency_key],
            create_task.priority,
            create_task.run_at,
            create_task.initiator,
            create_task.source_system,
            create_task.reason,
            create_task.tags,
            create_task.bypass_steps
        )
    )[1];
end;
$$;

comment on function create_task(
    text, jsonb, text, text, text, int, timestamptz, text, text, text, text[], text[]
) is
    'Start a task; the same idempotency key with the same context gives the existing task_id.';
