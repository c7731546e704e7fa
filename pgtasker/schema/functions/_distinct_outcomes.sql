-- _distinct_outcomes: of a claim that is reported more than once, one outcome is left: complete
-- goes before fail, and that before release.

create function _distinct_outcomes(outcomes jsonb)
returns jsonb
language sql
immutable
return (
    select jsonb_agg(one.outcome)
    from (
        select distinct on (given.outcome -> 'workflow_step_id', given.outcome -> 'claim_id')
            given.outcome
        from jsonb_array_elements(outcomes) as given (outcome)
        order by
            given.outcome -> 'workflow_step_id',
            given.outcome -> 'claim_id',
            given.outcome ->> 'outcome'
    ) one
);

comment on function _distinct_outcomes(jsonb) is
    'A checked batch with one outcome for each claim.';
