-- _edge_problems: what is wrong with the names and dependencies of a definition's steps.

create function _edge_problems(definition jsonb)
returns setof text
language sql
immutable
begin atomic
    with step as (
        select
            given.number,
            given.value ->> 'name' as name,
            case
                when jsonb_typeof(given.value -> 'depends_on') = 'array'
                then given.value -> 'depends_on'
                else '[]'
            end as depends_on
        from jsonb_array_elements(definition -> 'steps') with ordinality as given (value, number)
        where jsonb_typeof(given.value -> 'name') = 'string'
    ),
    edge as (
        select step.number, step.name as child, parent.value as parent
        from step
        cross join jsonb_array_elements(step.depends_on) as parent
    )
    select format('step %s has no name', given.number)
    from jsonb_array_elements(definition -> 'steps') with ordinality as given (value, number)
    where jsonb_typeof(given.value) = 'object'
        and coalesce(jsonb_typeof(given.value -> 'name'), 'null') = 'null'
    union all
    select case
        when step.name in ('context', 'step') then
            format('step name %s is reserved', to_json(step.name))
        else
            format(
                'step name %s is illegal: use letters, digits and _, and no digit first',
                to_json(left(step.name, 200))
            )
    end
    from step
    where step.name in ('context', 'step')
        or step.name !~ '^[A-Za-z_][A-Za-z0-9_]*$'
        or length(step.name) > 200
    union all
    select format('step name %s is used %s times', to_json(step.name), count(*))
    from step
    group by step.name
    having count(*) > 1
    union all
    select format('step %s depends on %s, which is no step name', to_json(edge.child), edge.parent)
    from edge
    where jsonb_typeof(edge.parent) <> 'string'
    union all
    select format(
        'step %s depends on the unknown step %s',
        to_json(edge.child),
        edge.parent
    )
    from edge
    where jsonb_typeof(edge.parent) = 'string'
        and not exists (select from step where step.name = edge.parent #>> '{}')
    union all
    select format('step %s names its parent %s more than once', to_json(edge.child), edge.parent)
    from edge
    group by edge.number, edge.child, edge.parent
    having count(*) > 1;
end;

comment on function _edge_problems(jsonb) is
    'What is wrong with the names and dependencies of the steps of a definition, a sentence each.';
