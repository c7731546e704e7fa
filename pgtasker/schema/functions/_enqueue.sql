-- _enqueue: of the given steps, those that could run now or at a known time go to the queue.
--
-- The caller has them locked. The only place that inserts into step_queue.

create function _enqueue(step_ids bigint[])
returns void
language plpgsql
volatile
set search_path from current
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    v_now timestamptz := clock();
begin
    if coalesce(_enqueue.step_ids, '{}') = '{}' then
        return;
    end if;
    insert into step_queue (workflow_step_id, enqueued_at, due_at, priority, is_retry, queue)
    select
        step.workflow_step_id,
        v_now,
        case
            when step.state = 'error' then greatest(step.due_at, task.run_at)
            when greatest(step.due_at, task.run_at) > v_now then greatest(step.due_at, task.run_at)
        end,
        coalesce(task.priority, named_step.priority),
        step.state = 'error',
        named_step.queue
    from unnest(_enqueue.step_ids) as given (workflow_step_id)
    cross join lateral (
        select found.*
        from workflow_steps found
        where found.workflow_step_id = given.workflow_step_id
        offset 0
    ) step
    cross join lateral (
        select found.run_at, found.priority, found.paused, found.complete
        from tasks found
        where found.task_id = step.task_id
        offset 0
    ) task
    cross join lateral (
        select found.priority, found.queue
        from named_steps found
        where found.named_step_id = step.named_step_id
        offset 0
    ) named_step
    where not task.paused
        and not task.complete
        and (
            (step.state = 'pending' and step.unsatisfied_parents = 0)
            or (step.state = 'error' and step.due_at is not null)
        )
    order by step.workflow_step_id;
end;
$$;

comment on function _enqueue(bigint[]) is
    'Put those of the steps into the queue that can run now or at a known time.';
