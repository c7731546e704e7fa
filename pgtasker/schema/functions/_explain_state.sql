-- _explain_state: the reasons that lie in the state of the step itself.

create function _explain_state(step workflow_steps, named_step named_steps)
returns table (reason text, explanation text, details jsonb)
language plpgsql
stable
set search_path from current
set enable_seqscan = off
as $$
declare
    v_latest workflow_step_transitions;
    v_runner runners;
begin
    select log.*
    into v_latest
    from workflow_step_transitions log
    where log.workflow_step_id = step.workflow_step_id and log.sort_key = step.transition_count;
    select runner.* into v_runner from runners runner where runner.runner_id = v_latest.runner_id;
    if step.state = 'in_progress' then
        reason := 'running';
        explanation := format(
            'It has run since %s on runner %s (%s): attempt %s of %s. The runner was last heard of '
            'at %s.',
            date_trunc('second', v_latest.created_at), v_runner.runner_id, v_runner.name,
            step.attempts, named_step.retry_limit,
            date_trunc('second', v_runner.last_heartbeat_at)
        );
        details := jsonb_build_object(
            'runner_id', v_runner.runner_id,
            'claim_id', step.claim_id,
            'attempt', step.attempts,
            'timeout_at', step.due_at,
            'lease_expires_at', v_runner.lease_expires_at,
            'runner_ended_at', v_runner.ended_at
        );
    elsif step.state = 'error' then
        reason := 'failed';
        explanation := case
            when _is_unfit(v_latest) then format(
                'It failed for good at %s, before its first attempt: %s. Cancel the task and start '
                'one with a context that fits; or register a schema that this one fits, and use '
                'retry_task.',
                date_trunc('second', v_latest.created_at), v_latest.error ->> 'message'
            )
            else format(
                'It failed for good at %s after %s of %s attempts%s. It needs retry_step, '
                'resolve_step or cancel_task.',
                date_trunc('second', v_latest.created_at), step.attempts, named_step.retry_limit,
                coalesce(': ' || regexp_replace(v_latest.error ->> 'message', '\s+', ' ', 'g'), '')
            )
        end;
        details := jsonb_build_object(
            'attempts', step.attempts,
            'retry_limit', named_step.retry_limit,
            'retryable', named_step.retryable,
            'error', v_latest.error
        );
    else
        reason := 'finished';
        explanation := format(
            'It has been %s since %s.', step.state, date_trunc('second', v_latest.created_at)
        );
        details := jsonb_build_object(
            'state', step.state,
            'actor', v_latest.actor,
            'reason', v_latest.reason
        );
    end if;
    return next;
end;
$$;

comment on function _explain_state(workflow_steps, named_steps) is
    'Why a step that runs, failed or is over is not started.';
