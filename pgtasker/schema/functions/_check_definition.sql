-- _check_definition: one error that lists all that is wrong with a definition.

create function _check_definition(definition jsonb)
returns void
language plpgsql
immutable
set search_path from current
set jit = off
as $$
declare
    v_steps jsonb := case when jsonb_typeof(definition) = 'object' then definition -> 'steps' end;
    v_problems text[];
begin
    v_problems := array(select _field_problems('workflow', 'the workflow', definition));
    if jsonb_typeof(definition) = 'object' then
        if coalesce(jsonb_typeof(definition -> 'name'), 'null') = 'null' then
            v_problems := v_problems || 'the workflow has no name'::text;
        end if;
        if coalesce(jsonb_typeof(v_steps), 'null') = 'null' or v_steps = '[]' then
            v_problems := v_problems || 'the workflow has no steps'::text;
        end if;
        if jsonb_typeof(definition -> 'context_schema') = 'object' then
            v_problems := v_problems || array(
                select _context_schema_problems(definition -> 'context_schema')
            );
        end if;
    end if;
    if jsonb_typeof(v_steps) = 'array' then
        v_problems := v_problems || array(
            select problem
            from jsonb_array_elements(v_steps) with ordinality as step (value, number)
            cross join lateral (
                select coalesce(
                    'step ' || (step.value -> 'name')::text,
                    'step ' || step.number
                ) as label
            ) as named
            cross join lateral (
                select _field_problems('step', left(named.label, 250), step.value) as problem
                union all
                select _field_problems(
                    'backoff',
                    left(named.label, 250) || ', backoff',
                    step.value -> 'backoff'
                )
                where jsonb_typeof(step.value -> 'backoff') = 'object'
            ) as found
            where problem is not null
        ) || array(select _edge_problems(definition));
    end if;
    v_problems := array_remove(v_problems, null);
    if cardinality(v_problems) = 0 then
        v_problems := array_remove(array[_cycle_problem(definition)], null);
    end if;
    if cardinality(v_problems) > 0 then
        perform _refuse(
            case cardinality(v_problems)
                when 1 then format('invalid workflow definition: %s', v_problems[1])
                else format('invalid workflow definition: %s problems', cardinality(v_problems))
            end,
            array_to_string(v_problems, E'\n'),
            'Correct what is listed; nothing was registered.'
        );
    end if;
end;
$$;

comment on function _check_definition(jsonb) is
    'Refuse a malformed workflow definition and say everything that is wrong with it.';
