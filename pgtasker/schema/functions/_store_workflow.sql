-- _store_workflow: writes a normalized definition as a new version, or as a new revision of one.
--
-- Called under the advisory lock of the workflow.

create function _store_workflow(definition jsonb, known named_tasks)
returns bigint
language plpgsql
volatile
set search_path from current
as $$
declare
    v_named_task_id bigint := known.named_task_id;
    v_revision integer := coalesce(known.revision, 0) + 1;
    v_order integer[];
begin
    if v_named_task_id is null then
        v_named_task_id := nextval(pg_get_serial_sequence('named_tasks', 'named_task_id'));
        insert into named_tasks (
            named_task_id, family_id, namespace, name, version, version_sort_key,
            retention_seconds, description, context_schema, definition, created_at, updated_at
        )
        overriding system value
        select
            v_named_task_id,
            coalesce(min(relative.family_id), v_named_task_id),
            _store_workflow.definition ->> 'namespace',
            _store_workflow.definition ->> 'name',
            _store_workflow.definition ->> 'version',
            _version_sort_key(_store_workflow.definition ->> 'version'),
            (_store_workflow.definition ->> 'retention')::double precision,
            _store_workflow.definition ->> 'description',
            nullif(_store_workflow.definition -> 'context_schema', 'null'),
            _store_workflow.definition,
            clock(),
            clock()
        from named_tasks relative
        where relative.namespace = _store_workflow.definition ->> 'namespace'
            and relative.name = _store_workflow.definition ->> 'name';
    else
        update named_tasks named_task
        set
            revision = v_revision,
            retention_seconds = (_store_workflow.definition ->> 'retention')::double precision,
            description = _store_workflow.definition ->> 'description',
            context_schema = nullif(_store_workflow.definition -> 'context_schema', 'null'),
            definition = _store_workflow.definition,
            updated_at = clock()
        where named_task.named_task_id = v_named_task_id;
    end if;

    select _topological_order(
        jsonb_array_length(_store_workflow.definition -> 'steps'),
        array_agg(edge.parent order by edge.parent, edge.child),
        array_agg(edge.child order by edge.parent, edge.child)
    )
    into v_order
    from _definition_edges(_store_workflow.definition) edge;
    perform _store_steps(_store_workflow.definition, v_named_task_id, v_revision, v_order);
    return v_named_task_id;
end;
$$;

comment on function _store_workflow(jsonb, named_tasks) is
    'Write a checked and normalized definition; returns its named_task_id.';
