-- create_tasks: starts many runs of one workflow with one call, 10,000 being normal.
--
-- Keys are inserted in ascending order: two calls with the same keys wait, they do not deadlock.

create function create_tasks(
    name text,
    contexts jsonb[],
    namespace text default 'default',
    version text default null,
    idempotency_keys text[] default null,
    priority int default null,
    run_at timestamptz default null,
    initiator text default null,
    source_system text default null,
    reason text default null,
    tags text[] default '{}'
)
returns setof bigint
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_workflow named_tasks := _find_workflow(
        create_tasks.name,
        create_tasks.namespace,
        create_tasks.version
    );
    v_limit bigint := get_setting('payload_limit')::bigint;
begin
    perform _require('contexts', create_tasks.contexts is not null);
    perform _check_context(format('contexts[%s]', given.place), given.context)
    from unnest(create_tasks.contexts) with ordinality as given (context, place)
    where jsonb_typeof(given.context) is distinct from 'object'
        or octet_length(given.context::text) > v_limit;
    if cardinality(create_tasks.idempotency_keys) <> cardinality(create_tasks.contexts) then
        perform _refuse(
            format(
                '%s idempotency_keys for %s contexts',
                cardinality(create_tasks.idempotency_keys),
                cardinality(create_tasks.contexts)
            ),
            'The key of each context stands at the same place of the other array.',
            'Pass as many keys as contexts (null for a task without one), or none at all.'
        );
    end if;
    return query
    select unnest(
        _create_tasks(
            v_workflow,
            create_tasks.version is not null,
            create_tasks.contexts,
            coalesce(
                create_tasks.idempotency_keys,
                array_fill(null::text, array[cardinality(create_tasks.contexts)])
            ),
            create_tasks.priority,
            create_tasks.run_at,
            create_tasks.initiator,
            create_tasks.source_system,
            create_tasks.reason,
            create_tasks.tags,
            '{}'
        )
    );
end;
$$;

comment on function create_tasks(
    text, jsonb[], text, text, text[], int, timestamptz, text, text, text, text[]
) is
    'Start a task for each context; returns their task_ids in the order of the contexts.';
