-- register_workflow: makes a version of a workflow known; the same content again changes nothing.
--
-- Other content under a known version adds a revision that future tasks get. Processes that start
-- together serialize on an advisory lock of the workflow, and only where something is to be
-- written.

create function register_workflow(definition jsonb, replace boolean default true)
returns bigint
language plpgsql
volatile
set search_path from current
as $$
declare
    v_namespace text;
    v_name text;
    v_version text;
    v_normal jsonb;
    v_known named_tasks;
begin
    perform _require('definition', definition is not null);
    perform _require('replace', register_workflow.replace is not null);
    perform _check_definition(definition);
    v_namespace := coalesce(definition ->> 'namespace', 'default');
    v_name := definition ->> 'name';
    v_version := coalesce(definition ->> 'version', '0.1.0');
    v_normal := jsonb_build_object(
        'namespace', v_namespace,
        'name', v_name,
        'version', v_version,
        'description', definition -> 'description',
        'context_schema', definition -> 'context_schema',
        'steps', (
            select jsonb_agg(step.content order by step.number)
            from _definition_steps(definition) step
        )
    ) || jsonb_strip_nulls(jsonb_build_object('retention', definition -> 'retention'));
    perform _check_payload('context_schema', v_normal -> 'context_schema');
    perform _check_payload(format('inputs of step %s', step.name), step.content -> 'inputs')
    from _definition_steps(v_normal) step
    where step.content -> 'inputs' <> '{}';

    v_known := _known_version(v_namespace, v_name, v_version);
    if v_known.definition is distinct from v_normal then
        perform pg_advisory_xact_lock(
            hashtextextended(concat_ws('/', get_setting('install_id'), v_namespace, v_name), 0)
        );
        v_known := _known_version(v_namespace, v_name, v_version);
    end if;
    if v_known.definition = v_normal then
        return v_known.named_task_id;
    end if;
    if v_known.named_task_id is not null and not register_workflow.replace then
        perform _refuse(
            format(
                'workflow %s/%s version %s is registered with other content',
                v_namespace,
                v_name,
                v_version
            ),
            format('It is named_task_id %s, revision %s.', v_known.named_task_id, v_known.revision),
            'Give the changed workflow a new version, or register it with replace => true.',
            'duplicate_object'
        );
    end if;
    return _store_workflow(v_normal, v_known);
end;
$$;

comment on function register_workflow(jsonb, boolean) is
    'Register a version of a workflow from its JSON definition; returns its named_task_id.';
