-- _step_readiness: all that is known of the readiness of a step without its task and the queue.
--
-- Reads what the engine keeps beside the log (docs/decisions/0008); _derived_readiness derives the
-- same from the log. The definition is joined to the outside and by its key, and the log is looked
-- into where a column asks for it: a column that nobody selects costs nothing.

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
    case step.state
        when 'pending' then step.unsatisfied_parents = 0
        when 'error' then step.due_at is not null
        else false
    end as can_run
from workflow_steps step
left join named_steps named_step on named_step.named_step_id = step.named_step_id;

comment on view _step_readiness is
    'Every step: its state, its parents and its attempts.';
