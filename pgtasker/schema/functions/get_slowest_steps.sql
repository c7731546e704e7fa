-- get_slowest_steps: the attempts that ran longest since a time, with how long their step had
-- waited in the queue before.
--
-- Beyond an hour, of each step the twenty slowest of each hour are known, and after two days those
-- of each day.

create function get_slowest_steps(
    since timestamptz default null,
    max_rows integer default 10,
    namespace text default null,
    name text default null
)
returns setof slow_step
language plpgsql
stable
set search_path from current
set jit = off
as $$
begin
    return query
    select
        slow.entity_id,
        step.task_id,
        named_task.namespace,
        named_task.name,
        named_task.version,
        named_step.name,
        ended.attempts,
        ended.to_state,
        begun.created_at,
        ended.created_at,
        slow.seconds,
        greatest(0, extract(epoch from begun.created_at - begun.ready_at))::double precision
    from _slowest(
        'step',
        get_slowest_steps.since,
        array(
            select wanted.named_step_id
            from named_steps wanted
            join named_tasks workflow on workflow.named_task_id = wanted.named_task_id
            where workflow.namespace = coalesce(get_slowest_steps.namespace, workflow.namespace)
                and workflow.name = coalesce(get_slowest_steps.name, workflow.name)
        ),
        coalesce(get_slowest_steps.max_rows, 10)
    ) slow
    join workflow_step_transitions ended
        on ended.workflow_step_id = slow.entity_id and ended.sort_key = slow.sort_key
    join workflow_step_transitions begun
        on begun.workflow_step_id = slow.entity_id and begun.sort_key = slow.sort_key - 1
    join workflow_steps step on step.workflow_step_id = slow.entity_id
    join named_steps named_step on named_step.named_step_id = step.named_step_id
    join named_tasks named_task on named_task.named_task_id = named_step.named_task_id
    order by slow.seconds desc, slow.entity_id desc, slow.sort_key desc;
end;
$$;

comment on function get_slowest_steps(timestamptz, integer, text, text) is
    'The attempts that ran longest since a time; the last hour unless given.';
