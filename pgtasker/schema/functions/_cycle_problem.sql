-- _cycle_problem: names one cycle of a definition whose step names and parents are in order.
--
-- Steps that a topological order leaves out are on a cycle or behind one, and each of them has a
-- parent that is left out too: going from parent to parent must come back somewhere.

create function _cycle_problem(definition jsonb)
returns text
language plpgsql
immutable
set search_path from current
as $$
declare
    v_names text[];
    v_parents integer[];
    v_children integer[];
    v_order integer[];
    v_path integer[];
    v_back integer;
begin
    select array_agg(step.name order by step.number)
    into v_names
    from _definition_steps(definition) step;

    select
        array_agg(edge.parent order by edge.parent, edge.child),
        array_agg(edge.child order by edge.parent, edge.child)
    into v_parents, v_children
    from _definition_edges(definition) edge;

    v_order := _topological_order(cardinality(v_names), v_parents, v_children);
    if cardinality(v_order) = cardinality(v_names) then
        return null;
    end if;

    v_path := array[(
        select number.number
        from generate_series(1, cardinality(v_names)) as number (number)
        where number.number <> all (v_order)
        limit 1
    )];
    loop
        v_back := (
            select min(edge.parent)
            from unnest(v_parents, v_children) as edge (parent, child)
            where edge.child = v_path[1] and edge.parent <> all (v_order)
        );
        exit when v_back = any (v_path);
        v_path := v_back || v_path;
    end loop;
    return (
        select format(
            'the steps form a cycle: %s',
            string_agg(v_names[node.node], ' -> ' order by node.place)
        )
        from unnest(
            v_back || v_path[1 : array_position(v_path, v_back)]
        ) with ordinality as node (node, place)
    );
end;
$$;

comment on function _cycle_problem(jsonb) is
    'One cycle of a definition in words; null if there is none.';
