-- _enqueue: of the given steps, those that could run now or at a known time go to the queue.
--
-- The caller has them locked. The only place that inserts into step_queue. Returns how many.

create function _enqueue(step_ids bigint[])
returns integer
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = on
set enable_nestloop = off
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_now timestamptz := clock();
    v_enqueued integer;
begin
    if coalesce(_enqueue.step_ids, '{}') = '{}' then
        return 0;
    end if;
    with step as materialized (
        select
            found.workflow_step_id, found.task_id, found.named_step_id, found.state, found.due_at
        from workflow_steps found
        where found.workflow_step_id = any (_enqueue.step_ids)
            and (
                (found.state = 'pending' and found.unsatisfied_parents = 0)
                or (found.state = 'error' and found.due_at is not null)
            )
    )
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
    from step
    join tasks task
        on task.task_id = any (array(select step.task_id from step))
        and task.task_id + 0 = step.task_id
    join named_steps named_step
        on named_step.named_step_id = any (array(select step.named_step_id from step))
        and named_step.named_step_id + 0 = step.named_step_id
    where (task.paused or task.complete) is false
    order by step.workflow_step_id;
    get diagnostics v_enqueued = row_count;
    return v_enqueued;
end;
$$;

comment on function _enqueue(bigint[]) is
    'Put those of the steps into the queue that can run now or at a known time.';
