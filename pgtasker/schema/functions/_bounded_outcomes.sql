-- _bounded_outcomes: in a batch, a payload above the limit fails its step for good and says so; an
-- error here would make the runner report the same batch for ever.

create function _bounded_outcomes(outcomes jsonb)
returns jsonb
language plpgsql
stable
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_limit bigint := get_setting('payload_limit')::bigint;
begin
    if octet_length(outcomes::text) <= v_limit or jsonb_typeof(outcomes) <> 'array' then
        return outcomes;
    end if;
    return (
        select jsonb_agg(
            case
                when payload.bytes <= v_limit then given.outcome
                else jsonb_build_object(
                    'workflow_step_id', given.outcome -> 'workflow_step_id',
                    'claim_id', given.outcome -> 'claim_id',
                    'outcome', 'fail',
                    'retryable', false,
                    'error', jsonb_build_object(
                        'type', 'PayloadTooLarge',
                        'message', format(
                            '%s has %s bytes, more than the payload_limit of %s',
                            payload.name, payload.bytes, v_limit
                        )
                    )
                )
            end
            order by given.place
        )
        from jsonb_array_elements(outcomes) with ordinality as given (outcome, place)
        cross join lateral (
            select
                case given.outcome ->> 'outcome'
                    when 'fail' then 'error'
                    else 'results'
                end as name,
                coalesce(
                    octet_length(
                        (given.outcome -> case given.outcome ->> 'outcome'
                            when 'fail' then 'error'
                            else 'results'
                        end)::text
                    ),
                    0
                ) as bytes
        ) payload
    );
end;
$$;

comment on function _bounded_outcomes(jsonb) is
    'Outcomes with those that are too large turned into permanent failures.';
