-- _is_unfit: whether a step failed before its first attempt because the context of its task does
-- not fit. What a handler says about a context comes from a runner, after an attempt.

create function _is_unfit(log workflow_step_transitions)
returns boolean
language sql
immutable
return log.from_state = 'pending'
    and log.to_state = 'error'
    and log.actor is null
    and log.error ->> 'type' = 'InvalidContext';

comment on function _is_unfit(workflow_step_transitions) is
    'Whether the engine failed a step because of the context of its task.';
