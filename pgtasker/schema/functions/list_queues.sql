-- list_queues: what waits where. depth counts what is ready now, scheduled what waits
-- for a time, of which next_due_at is the first.

create function list_queues()
returns table (
    queue text,
    paused boolean,
    depth bigint,
    scheduled bigint,
    in_process bigint,
    oldest_age interval,
    runners integer,
    next_due_at timestamptz
)
language plpgsql
stable
set search_path from current
as $$
begin
    return query
    with waiting as (
        select
            waiting.queue,
            count(*) filter (where waiting.due_at is null or waiting.due_at <= clock()) as depth,
            count(*) filter (where waiting.due_at > clock()) as scheduled,
            min(coalesce(waiting.due_at, waiting.enqueued_at)) filter (
                where waiting.due_at is null or waiting.due_at <= clock()
            ) as oldest_at,
            min(waiting.due_at) filter (where waiting.due_at > clock()) as next_due_at
        from step_queue waiting
        group by waiting.queue
    ),
    held as (
        select named_step.queue, count(*) as steps
        from _held_claims claim
        join named_steps named_step on named_step.named_step_id = claim.named_step_id
        group by named_step.queue
    ),
    served as (
        select served.queue, count(*)::integer as runners
        from runners runner
        cross join unnest(runner.queues) as served (queue)
        where runner.ended_at is null and not _lease_is_over(runner)
        group by served.queue
    )
    select
        known.queue,
        coalesce(paused.paused, false),
        coalesce(waiting.depth, 0),
        coalesce(waiting.scheduled, 0),
        coalesce(held.steps, 0),
        clock() - waiting.oldest_at,
        coalesce(served.runners, 0),
        waiting.next_due_at
    from (
        select distinct named_step.queue
        from named_steps named_step
        join named_tasks named_task
            on named_task.named_task_id = named_step.named_task_id
            and named_task.revision = named_step.revision
        union
        select waiting.queue from waiting
        union
        select held.queue from held
        union
        select served.queue from served
        union
        select paused.queue from queues paused where paused.paused
    ) known
    left join queues paused on paused.queue = known.queue
    left join waiting on waiting.queue = known.queue
    left join held on held.queue = known.queue
    left join served on served.queue = known.queue
    order by known.queue;
end;
$$;

comment on function list_queues() is
    'Queues with their depth, the age of the oldest ready step, runners, and whether they are '
    'paused.';
