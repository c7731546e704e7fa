-- _context_errors: the errors of contexts that do not fit a schema, of which each tells up to 20
-- problems; place says which context.

create function _context_errors(schema jsonb, contexts jsonb[])
returns table (place integer, error jsonb)
language plpgsql
stable
set search_path from current
set plan_cache_mode = force_generic_plan
set jit = off
as $$
declare
    -- Read once from where it is stored: every keyword that is looked up would unpack it again.
    v_schema jsonb := schema || '{}';
begin
    return query
    select
        problem.place,
        jsonb_build_object(
            'type', 'InvalidContext',
            'message', format(
                'the context does not fit: %s%s',
                string_agg(problem.path || ' ' || problem.message, '; ' order by problem.number)
                    filter (where problem.number <= 20),
                '; and ' || nullif(greatest(count(*) - 20, 0), 0) || ' more'
            ),
            'problems', jsonb_agg(
                jsonb_build_object('path', problem.path, 'message', problem.message)
                order by problem.number
            ) filter (where problem.number <= 20)
        )
    from (
        select
            found.place,
            left('context' || found.path, 1000) as path,
            found.message,
            row_number() over (partition by found.place order by min(found.number)) as number
        from _schema_problems(v_schema, v_schema, contexts, 1) with ordinality
            as found (place, path, message, number)
        group by found.place, found.path, found.message
    ) problem
    group by problem.place;
end;
$$;

comment on function _context_errors(jsonb, jsonb[]) is
    'Why which of the contexts do not fit a schema.';
