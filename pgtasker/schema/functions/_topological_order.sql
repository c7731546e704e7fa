-- _topological_order: steps are numbered from 1; parents[i] must come before children[i].
--
-- Returns the numbers in an order that respects every edge; steps on a cycle, or behind one, are
-- missing. Edges must be given sorted by parent. A walk over a graph has no set-based form: this
-- one is linear in steps and edges.

create function _topological_order(step_count integer, parents integer[], children integer[])
returns integer[]
language plpgsql
immutable
set search_path from current
as $$
declare
    v_waits_for integer[] := array_fill(0, array[step_count]);
    v_first_edge integer[] := array_fill(0, array[step_count]);
    v_order integer[] := '{}'::integer[];
    v_edge_count integer := coalesce(cardinality(parents), 0);
    v_edge integer;
    v_next integer := 1;
    v_child integer;
begin
    for v_edge in 1 .. v_edge_count loop
        v_waits_for[children[v_edge]] := v_waits_for[children[v_edge]] + 1;
        if v_first_edge[parents[v_edge]] = 0 then
            v_first_edge[parents[v_edge]] := v_edge;
        end if;
    end loop;
    for v_child in 1 .. step_count loop
        if v_waits_for[v_child] = 0 then
            v_order := v_order || v_child;
        end if;
    end loop;
    while v_next <= cardinality(v_order) loop
        v_edge := v_first_edge[v_order[v_next]];
        while v_edge between 1 and v_edge_count and parents[v_edge] = v_order[v_next] loop
            v_child := children[v_edge];
            v_waits_for[v_child] := v_waits_for[v_child] - 1;
            if v_waits_for[v_child] = 0 then
                v_order := v_order || v_child;
            end if;
            v_edge := v_edge + 1;
        end loop;
        v_next := v_next + 1;
    end loop;
    return v_order;
end;
$$;

comment on function _topological_order(integer, integer[], integer[]) is
    'Numbers of steps, parents before children; what is on a cycle is missing.';
