-- _definition_steps: the steps of a definition that has passed its checks, with their defaults.

create function _definition_steps(definition jsonb)
returns table (number integer, name text, depends_on jsonb, content jsonb)
language sql
immutable
begin atomic
    select
        step.number::integer,
        step.value ->> 'name',
        coalesce(nullif(step.value -> 'depends_on', 'null'), '[]'),
        jsonb_build_object(
            'name', step.value -> 'name',
            'description', step.value -> 'description',
            'depends_on', coalesce(nullif(step.value -> 'depends_on', 'null'), '[]'),
            'handler', step.value -> 'handler',
            'queue', coalesce(step.value ->> 'queue', 'default'),
            'priority', coalesce((step.value ->> 'priority')::numeric::integer, 0),
            'retryable', coalesce((step.value ->> 'retryable')::boolean, true),
            'skippable', coalesce((step.value ->> 'skippable')::boolean, false),
            'retry_limit', coalesce((step.value ->> 'retry_limit')::numeric::integer, 3),
            'timeout', (step.value ->> 'timeout')::double precision,
            'inputs', coalesce(nullif(step.value -> 'inputs', 'null'), '{}'),
            'backoff', jsonb_build_object(
                'base', coalesce((step.value #>> '{backoff,base}')::double precision, 1),
                'factor', coalesce((step.value #>> '{backoff,factor}')::double precision, 2),
                'max', coalesce((step.value #>> '{backoff,max}')::double precision, 30),
                'jitter', coalesce((step.value #>> '{backoff,jitter}')::boolean, true)
            )
        )
    from jsonb_array_elements(definition -> 'steps') with ordinality as step (value, number);
end;

comment on function _definition_steps(jsonb) is
    'Steps of a valid definition in the order given, with every default filled in.';
