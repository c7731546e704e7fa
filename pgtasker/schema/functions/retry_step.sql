-- retry_step: a failed step starts a new round of attempts, now; also one that waits for its
-- backoff.
--
-- Locks the step and its children, then the task.

create function retry_step(
    workflow_step_id bigint,
    reason text default null,
    actor text default null
)
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_step workflow_steps := _lock_step_of_open_task(
        retry_step.workflow_step_id,
        'retry',
        '{error}'
    );
begin
    insert into workflow_step_transitions (workflow_step_id, to_state, actor, reason)
    values (retry_step.workflow_step_id, 'pending', retry_step.actor, retry_step.reason);
    perform _check_context_again(v_step.task_id);
end;
$$;

comment on function retry_step(bigint, text, text) is
    'Retry a failed step in a new round of attempts.';
