-- _definition_edges: edges of a valid definition by the numbers of the steps, parent before child.

create function _definition_edges(definition jsonb)
returns table (parent integer, child integer)
language sql
immutable
begin atomic
    with step as materialized (
        select given.number, given.name, given.depends_on
        from _definition_steps(_definition_edges.definition) given
    )
    select parent_step.number, child_step.number
    from step child_step
    cross join jsonb_array_elements_text(child_step.depends_on) as parent_name
    join step parent_step on parent_step.name = parent_name;
end;

comment on function _definition_edges(jsonb) is
    'Edges of a valid definition: numbers of parent and child.';
