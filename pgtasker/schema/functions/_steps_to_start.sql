-- _steps_to_start: what the start of an attempt needs to know of steps that the caller has locked:
-- first those that never were in the queue (kept), then those it took from there, by priority and
-- position. Who took the row of a step out of the queue since the caller looked (paused its task)
-- had the step locked: what is not there now is left out.

create function _steps_to_start(kept bigint[], taken bigint[])
returns table (
    workflow_step_id bigint,
    state text,
    transition_count integer,
    attempts integer,
    timeout_seconds double precision,
    enqueued_at timestamptz
)
language sql
stable
begin atomic
    with step as materialized (
        select
            found.workflow_step_id, found.named_step_id, found.state, found.transition_count,
            found.attempts
        from workflow_steps found
        where found.workflow_step_id = any (kept || taken)
    ),
    ready as (
        select
            waiting.workflow_step_id, waiting.enqueued_at, waiting.priority, waiting.position
        from step_queue waiting
        where waiting.workflow_step_id = any (taken)
        union all
        select own.workflow_step_id, null, null, own.place
        from unnest(kept) with ordinality as own (workflow_step_id, place)
    )
    select
        step.workflow_step_id, step.state, step.transition_count, step.attempts,
        named_step.timeout_seconds, ready.enqueued_at
    from step
    join ready on ready.workflow_step_id = step.workflow_step_id
    join named_steps named_step
        on named_step.named_step_id = any (array(select step.named_step_id from step))
        and named_step.named_step_id + 0 = step.named_step_id
    order by ready.priority desc nulls first, ready.position;
end;

comment on function _steps_to_start(bigint[], bigint[]) is
    'Locked steps whose attempts are about to start, in the order of their claims.';
