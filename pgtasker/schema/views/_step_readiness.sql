-- _step_readiness: readiness of every step, with what the tiers select by.
--
-- Reads what the engine keeps beside the log (docs/decisions/0008); _derived_readiness derives the
-- same from the log, and check_consistency() holds one against the other. Each outer join is by a
-- key, so that it costs nothing where no column of it is asked for; a filter on ready_for_execution
-- makes step_queue the first table to be read.

create view _step_readiness as
select
    step.workflow_step_id,
    step.task_id,
    step.named_step_id,
    named_step.name,
    step.state as current_state,
    step.unsatisfied_parents = 0 as dependencies_satisfied,
    case
        when step.state = 'error' then step.due_at is not null
        else step.attempts = 0 or step.attempts < named_step.retry_limit
    end as retry_eligible,
    waiting.workflow_step_id is not null
        and (waiting.due_at is null or waiting.due_at <= (select clock())) as ready_for_execution,
    step.last_failure_at,
    case when step.state in ('pending', 'error') then step.due_at end as next_retry_at,
    named_step.parent_count as total_parents,
    named_step.parent_count - step.unsatisfied_parents as completed_parents,
    step.attempts,
    named_step.retry_limit,
    case
        when step.state in ('pending', 'error') and step.last_failure_at is not null then (
            select failed.backoff_request_seconds
            from workflow_step_transitions failed
            where failed.workflow_step_id = step.workflow_step_id and failed.to_state = 'error'
            order by failed.sort_key desc
            limit 1
        )
    end as backoff_request_seconds,
    step.last_attempted_at,
    named_step.dependency_level,
    task.complete,
    task.failures,
    task.paused,
    task.run_at,
    task.created_at
from workflow_steps step
left join tasks task on task.task_id = step.task_id
left join named_steps named_step on named_step.named_step_id = step.named_step_id
left join step_queue waiting on waiting.workflow_step_id = step.workflow_step_id;

comment on view _step_readiness is
    'Every step: its state, its parents, its attempts, and whether it could run now.';
