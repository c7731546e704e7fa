-- _find_workflow: the version that was asked for, or the highest semantic version.

create function _find_workflow(name text, namespace text, version text)
returns named_tasks
language plpgsql
stable
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_found named_tasks;
begin
    if _find_workflow.name is null or _find_workflow.namespace is null then
        perform _require('name', _find_workflow.name is not null);
        perform _require('namespace', _find_workflow.namespace is not null);
    end if;
    select named_task.*
    into v_found
    from named_tasks named_task
    where named_task.namespace = _find_workflow.namespace
        and named_task.name = _find_workflow.name
        and (_find_workflow.version is null or named_task.version = _find_workflow.version)
    order by named_task.version_sort_key desc, named_task.named_task_id desc
    limit 1;
    if v_found.named_task_id is null then
        perform _refuse(
            format(
                'unknown workflow %s/%s%s',
                _find_workflow.namespace,
                _find_workflow.name,
                ' version ' || _find_workflow.version
            ),
            coalesce(
                'Registered are ' || (
                    select string_agg(
                        format('%s/%s %s', known.namespace, known.name, known.version),
                        ', '
                        order by known.name <> _find_workflow.name, known.namespace, known.name
                    )
                    from (
                        select near.namespace, near.name, near.version
                        from named_tasks near
                        order by near.name <> _find_workflow.name, near.named_task_id desc
                        limit 5
                    ) known
                ) || '.',
                'No workflow is registered.'
            ),
            'Register it with register_workflow, or correct namespace, name or version.',
            'TK003'
        );
    end if;
    return v_found;
end;
$$;

comment on function _find_workflow(text, text, text) is
    'A registered workflow by name; no version = the highest.';
