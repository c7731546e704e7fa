-- get_slowest_tasks: the tasks that took longest, of those that were complete or failed since a
-- time, counted from when they could start.
--
-- Beyond an hour, of each workflow the twenty slowest of each hour are known, and after two days
-- those of each day.

create function get_slowest_tasks(
    since timestamptz default null,
    max_rows integer default 10,
    namespace text default null,
    name text default null
)
returns setof slow_task
language plpgsql
stable
set search_path from current
set jit = off
as $$
begin
    return query
    select
        slow.entity_id,
        named_task.namespace,
        named_task.name,
        named_task.version,
        ended.to_state,
        task.created_at,
        ended.created_at,
        slow.seconds
    from _slowest(
        'task',
        get_slowest_tasks.since,
        array(
            select workflow.named_task_id
            from named_tasks workflow
            where workflow.namespace = coalesce(get_slowest_tasks.namespace, workflow.namespace)
                and workflow.name = coalesce(get_slowest_tasks.name, workflow.name)
        ),
        coalesce(get_slowest_tasks.max_rows, 10)
    ) slow
    join task_transitions ended
        on ended.task_id = slow.entity_id and ended.sort_key = slow.sort_key
    join tasks task on task.task_id = slow.entity_id
    join named_tasks named_task on named_task.named_task_id = task.named_task_id
    order by slow.seconds desc, slow.entity_id desc, slow.sort_key desc;
end;
$$;

comment on function get_slowest_tasks(timestamptz, integer, text, text) is
    'The tasks that took longest since a time; the last hour unless given.';
