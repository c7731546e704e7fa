-- _dependency_levels: how deep each step of a definition stands: the edges on the longest path that
-- leads to it from a root. Edges must be given sorted by parent.
--
-- Follows the topological order, as that was made: linear in steps and edges.

create function _dependency_levels(
    step_order integer[],
    parents integer[],
    children integer[]
)
returns table (number integer, dependency_level integer)
language plpgsql
immutable
set search_path from current
as $$
declare
    v_levels integer[] := array_fill(0, array[cardinality(step_order)]);
    v_first_edge integer[] := array_fill(0, array[cardinality(step_order)]);
    v_edge_count integer := cardinality(parents);
    v_edge integer;
    v_step integer;
begin
    for v_edge in reverse v_edge_count .. 1 loop
        v_first_edge[parents[v_edge]] := v_edge;
    end loop;
    foreach v_step in array step_order loop
        v_edge := v_first_edge[v_step];
        while v_edge between 1 and v_edge_count and parents[v_edge] = v_step loop
            v_levels[children[v_edge]] := greatest(
                v_levels[children[v_edge]],
                v_levels[v_step] + 1
            );
            v_edge := v_edge + 1;
        end loop;
    end loop;
    return query
    select level.number::integer, level.value
    from unnest(v_levels) with ordinality as level (value, number);
end;
$$;

comment on function _dependency_levels(integer[], integer[], integer[]) is
    'Edges on the longest path from a root to each step.';
