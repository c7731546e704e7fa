-- _outcome_problem: what is wrong with an outcome, null if nothing is. Most are complete and have
-- nothing else in them: that is seen first.

create function _outcome_problem(outcome jsonb)
returns text
language sql
immutable
return case
    when jsonb_typeof(outcome) <> 'object' then 'it is no object'
    when not coalesce(_is_id(outcome -> 'workflow_step_id'), false) then
        'workflow_step_id must be a whole number'
    when not coalesce(_is_id(outcome -> 'claim_id'), false) then
        'claim_id must be a whole number'
    when coalesce(outcome ->> 'outcome', '') not in ('complete', 'fail', 'release') then
        'outcome must be complete, fail or release'
    when outcome ->> 'outcome' = 'complete'
        and outcome - array['workflow_step_id', 'claim_id', 'outcome', 'results'] = '{}' then null
    when outcome ->> 'outcome' = 'fail'
        and coalesce(jsonb_typeof(outcome -> 'error'), 'null') = 'null' then
        'fail needs an error'
    when coalesce(jsonb_typeof(outcome -> 'retryable'), 'null') not in ('boolean', 'null') then
        'retryable must be true or false'
    when not _is_delay(outcome -> 'retry_after') then
        'retry_after must be 0 to 3155760000 seconds'
    when not _is_delay(outcome -> 'delay') then
        'delay must be 0 to 3155760000 seconds'
    when outcome - array[
        'workflow_step_id', 'claim_id', 'outcome', 'results', 'error', 'retryable', 'retry_after',
        'delay'
    ] <> '{}' then
        'it has an unknown field'
end;

comment on function _outcome_problem(jsonb) is
    'What only a faulty runner sends in an outcome, in words; null if it is well formed.';
