-- _is_unfit: whether a step failed before its first attempt because the context of its task does
-- not fit. What a handler says about a context comes after an attempt.

create function _is_unfit(log workflow_step_transitions)
returns boolean
language sql
immutable
return log.from_state = 'pending' and log.error ->> 'type' = 'InvalidContext';

comment on function _is_unfit(workflow_step_transitions) is
    'Whether a step failed because the context of its task does not fit.';
