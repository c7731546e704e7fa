-- _known_version: one version of a workflow, or a row of nulls.

create function _known_version(namespace text, name text, version text)
returns named_tasks
language sql
stable
begin atomic
    select named_task.*
    from named_tasks named_task
    where named_task.namespace = _known_version.namespace
        and named_task.name = _known_version.name
        and named_task.version = _known_version.version;
end;

comment on function _known_version(text, text, text) is
    'A registered version of a workflow.';
