-- resolve_step: a person did what the step was for; its children go on with the results given.
--
-- A running attempt loses its claim. Locks the step and its children, then the task.

create function resolve_step(
    workflow_step_id bigint,
    results jsonb default null,
    reason text default null,
    actor text default null
)
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _check_payload('results', resolve_step.results);
    perform _lock_step_of_open_task(
        resolve_step.workflow_step_id, 'resolve', '{pending,in_progress,error}'
    );
    insert into workflow_step_transitions (workflow_step_id, to_state, results, actor, reason)
    values (
        resolve_step.workflow_step_id,
        'resolved_manually',
        resolve_step.results,
        resolve_step.actor,
        resolve_step.reason
    );
end;
$$;

comment on function resolve_step(bigint, jsonb, text, text) is
    'Declare a step done by hand, with results for its children.';
