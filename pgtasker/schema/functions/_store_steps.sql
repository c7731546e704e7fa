-- _store_steps: the steps and edges of a new revision; rows of older revisions stay as they are.

create function _store_steps(
    definition jsonb,
    named_task_id bigint,
    revision integer,
    step_order integer[]
)
returns void
language sql
volatile
begin atomic
    with placed as (
        select place.number, place.position
        from unnest(_store_steps.step_order) with ordinality as place (number, position)
    ),
    edge as materialized (
        select edge.parent, edge.child
        from _definition_edges(_store_steps.definition) edge
    ),
    level as (
        select level.number, level.dependency_level
        from _dependency_levels(
            _store_steps.step_order,
            array(select edge.parent from edge order by edge.parent, edge.child),
            array(select edge.child from edge order by edge.parent, edge.child)
        ) level
    )
    insert into named_steps (
        named_task_id, revision, position, parent_count, dependency_level, is_leaf, name, handler,
        queue, priority, retryable, skippable, retry_limit, timeout_seconds, backoff_base,
        backoff_factor, backoff_max, backoff_jitter, inputs
    )
    select
        _store_steps.named_task_id,
        _store_steps.revision,
        placed.position,
        jsonb_array_length(step.depends_on),
        level.dependency_level,
        step.number not in (select edge.parent from edge),
        step.name,
        step.content ->> 'handler',
        step.content ->> 'queue',
        (step.content ->> 'priority')::integer,
        (step.content ->> 'retryable')::boolean,
        (step.content ->> 'skippable')::boolean,
        (step.content ->> 'retry_limit')::integer,
        (step.content ->> 'timeout')::double precision,
        (step.content #>> '{backoff,base}')::double precision,
        (step.content #>> '{backoff,factor}')::double precision,
        (step.content #>> '{backoff,max}')::double precision,
        (step.content #>> '{backoff,jitter}')::boolean,
        step.content -> 'inputs'
    from _definition_steps(_store_steps.definition) step
    join placed on placed.number = step.number
    join level on level.number = step.number
    order by placed.position;

    insert into named_step_edges (parent_named_step_id, child_named_step_id)
    select parent.named_step_id, child.named_step_id
    from _definition_steps(_store_steps.definition) step
    cross join jsonb_array_elements_text(step.depends_on) as parent_name
    join named_steps child
        on child.named_task_id = _store_steps.named_task_id
        and child.revision = _store_steps.revision
        and child.name = step.name
    join named_steps parent
        on parent.named_task_id = _store_steps.named_task_id
        and parent.revision = _store_steps.revision
        and parent.name = parent_name;
end;

comment on function _store_steps(jsonb, bigint, integer, integer[]) is
    'Write the steps and edges of a new revision of a workflow.';
