-- _explain_waiting: the reasons that lie in time, in a person, or in the runners.

create function _explain_waiting(
    step workflow_steps,
    task tasks,
    named_step named_steps,
    waits_for_parents boolean
)
returns table (reason text, explanation text, details jsonb)
language plpgsql
stable
set search_path from current
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_due_at timestamptz := greatest(step.due_at, task.run_at);
    v_runners bigint[] := array(
        select runner.runner_id
        from runners runner
        where named_step.queue = any (runner.queues)
            and runner.ended_at is null
            and not _lease_is_over(runner)
        order by runner.runner_id
    );
begin
    return query
    select found_reason.reason, found_reason.explanation, found_reason.details
    from (
        values
            (
                task.paused, 'task_paused',
                format('Its task %s is paused; resume_task lets it go on.', task.task_id),
                jsonb_build_object('task_id', task.task_id)
            ),
            (
                step.state = 'error', 'backoff',
                format('Attempt %s of %s failed; the next one is due at %s.',
                    step.attempts, named_step.retry_limit, date_trunc('second', step.due_at)),
                jsonb_build_object('due_at', step.due_at, 'attempts', step.attempts)
            ),
            (
                step.state <> 'error' and v_due_at > clock(), 'scheduled',
                format('It is scheduled for %s.', date_trunc('second', v_due_at)),
                jsonb_build_object('due_at', v_due_at)
            ),
            (
                exists (
                    select
                    from queues queue
                    where queue.queue = named_step.queue and queue.paused
                ),
                'queue_paused',
                format('Its queue %s is paused; resume_queue lets it go on.', named_step.queue),
                jsonb_build_object('queue', named_step.queue)
            ),
            (
                v_runners = '{}', 'no_runner',
                format('No live runner serves its queue %s.', named_step.queue),
                jsonb_build_object('queue', named_step.queue)
            ),
            (
                not waits_for_parents
                and not task.paused
                and step.state <> 'error'
                and coalesce(v_due_at <= clock(), true),
                'ready',
                format(
                    'It is ready and waits in queue %s for a runner; ready before it: %s.',
                    named_step.queue,
                    (
                        select count(*)
                        from step_queue own
                        cross join lateral (
                            select
                            from step_queue other
                            where other.queue = own.queue
                                and other.due_at is null
                                and (-other.priority, other.position)
                                < (-own.priority, own.position)
                            offset 0
                        ) before
                        where own.workflow_step_id = step.workflow_step_id
                    )
                ),
                jsonb_build_object('queue', named_step.queue, 'live_runners', v_runners)
            )
    ) as found_reason (holds, reason, explanation, details)
    where found_reason.holds;
end;
$$;

comment on function _explain_waiting(workflow_steps, tasks, named_steps, boolean) is
    'What a step waits for in time, in a person, or in the runners.';
