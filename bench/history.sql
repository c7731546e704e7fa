-- history.sql: what bench/history.py does in the database; lives as long as its session.
--
-- A task is laid out on a scale of its own: each step of its workflow begins where its last parent
-- ends and takes one to three units; the frontier says how far the task has come. From that follow
-- the state of each step, its rows in the log with their times, the queue, the claims, the task.
-- The triggers that do the same for a live install are off meanwhile.

create temporary table template as
with recursive step as (
    select
        named_step.*,
        dense_rank() over (order by named_step.named_task_id) - 1 as shape,
        row_number() over (order by named_step.named_task_id, named_step.position) - 1 as place,
        1 + (named_step.position * 7 + named_step.named_task_id) % 3 as units
    from named_tasks named_task
    join named_steps named_step
        on named_step.named_task_id = named_task.named_task_id
        and named_step.revision = named_task.revision
    where named_task.namespace = 'shapes'
),
path as (
    select step.named_step_id, step.units, 0::bigint as begins, array[]::bigint[] as ancestors
    from step
    where step.parent_count = 0
    union
    select child.named_step_id, child.units, path.begins + path.units,
        path.ancestors || parent.place
    from path
    join step parent on parent.named_step_id = path.named_step_id
    join named_step_edges edge on edge.parent_named_step_id = parent.named_step_id
    join step child on child.named_step_id = edge.child_named_step_id
),
laid_out as (
    select
        path.named_step_id,
        max(path.begins) as begins,
        max(path.begins) + path.units as ends
    from path
    group by path.named_step_id, path.units
)
select
    step.shape,
    step.place,
    step.named_task_id,
    step.named_step_id,
    step.queue,
    step.priority,
    laid_out.begins::double precision as begins,
    laid_out.ends::double precision as ends,
    array(
        select unnest(path.ancestors)
        from path
        where path.named_step_id = step.named_step_id
    ) as ancestors
from step
join laid_out on laid_out.named_step_id = step.named_step_id;

create temporary table shape as
select
    template.shape,
    template.named_task_id,
    min(template.place) as first_place,
    count(*) as steps,
    max(template.ends) as units
from template
group by template.shape, template.named_task_id;

create temporary table template_edge as
select parent.named_step_id as parent_named_step_id, parent.place as parent_place,
    child.place as child_place, child.shape
from template parent
join named_step_edges edge on edge.parent_named_step_id = parent.named_step_id
join template child on child.named_step_id = edge.child_named_step_id;

analyze template, shape, template_edge;

-- Where the rows of a batch begin, and who held its steps.
create temporary table batch (
    first_task_id bigint,
    first_step_id bigint,
    first_claim_id bigint,
    runner_ids bigint[]
);

create temporary table new_task (
    task_id bigint,
    number bigint,
    shape bigint,
    named_task_id bigint,
    kind text,
    frontier double precision,
    failing_place bigint,
    retried_place bigint,
    wait_share double precision,
    unit interval,
    total interval,
    created_at timestamptz,
    run_at timestamptz,
    priority integer
);

create temporary table new_step (
    workflow_step_id bigint,
    task_id bigint,
    named_step_id bigint,
    fate text,
    attempts integer,
    entries integer,
    errors integer,
    wait_share double precision,
    ready_at timestamptz,
    part interval,
    started_at timestamptz,
    ended_at timestamptz,
    due_at timestamptz,
    queue text,
    priority integer,
    runner_id bigint,
    first_claim_id bigint
);

-- reserve: the first of the next ids of a sequence, which then goes on behind them.
create function pg_temp.reserve(sequence regclass, ids bigint)
returns bigint
language sql
volatile
return setval(sequence, nextval(sequence) + ids - 1) - ids + 1;

-- lay_out_tasks: so many tasks, created evenly between two moments, their kinds in turn.
create function pg_temp.lay_out_tasks(
    tasks bigint,
    kinds text[],
    first_at timestamptz,
    last_at timestamptz
)
returns void
language sql
volatile
begin atomic
    insert into new_task
    select
        batch.first_task_id + numbered.number,
        numbered.number,
        shape.shape,
        shape.named_task_id,
        drawn.kind,
        case
            when drawn.kind in ('complete', 'error', 'resolved') then 'infinity'
            when drawn.kind = 'scheduled' then 0
            when drawn.kind = 'hurt' then failing.begins + 0.5
            else drawn.frontier * shape.units
        end,
        failing.place,
        drawn.retried_place,
        0.05 + 0.45 * random(),
        drawn.unit,
        drawn.unit * shape.units,
        first_at + (last_at - first_at) * (numbered.number::double precision / tasks),
        case
            when drawn.kind = 'scheduled' then clock() + interval '1 hour' * (1 + random() * 47)
        end,
        case when numbered.number % 20 = 0 then 10 end
    from batch
    cross join generate_series(0, tasks - 1) as numbered (number)
    join shape on shape.shape = numbered.number % 5
    cross join lateral (
        select
            kinds[1 + (numbered.number / 5 * 37 + shape.shape * 20) % cardinality(kinds)] as kind,
            random() as frontier,
            interval '1 second' * (0.5 * power(10, random())) as unit,
            case
                when random() < 0.15 then shape.first_place + floor(random() * shape.steps)::bigint
            end as retried_place,
            shape.first_place + floor(random() * shape.steps)::bigint as failing_place
    ) drawn
    left join template failing
        on failing.place = drawn.failing_place
        and drawn.kind in ('error', 'resolved', 'hurt');
end;

-- lay_out_steps: what became of each step of the new tasks, and when.
create function pg_temp.lay_out_steps()
returns void
language sql
volatile
begin atomic
    insert into new_step
    select
        batch.first_step_id + numbered.number,
        task.task_id,
        template.named_step_id,
        fate.fate,
        fate.attempts,
        fate.entries,
        fate.errors,
        task.wait_share,
        task.created_at + task.unit * template.begins,
        times.part,
        case
            when fate.attempts > 0
                then task.created_at + task.unit * template.begins + times.part * task.wait_share
        end,
        case
            when fate.fate = 'cancelled' then task.created_at + task.total
            when fate.fate = 'complete' then task.created_at + task.unit * template.ends
            when fate.errors > 0
                then task.created_at + task.unit * template.begins
                    + times.part * (fate.errors - 0.2)
        end,
        case
            when fate.fate = 'backoff' then clock() + interval '1 hour' * (1 + random() * 23)
        end,
        template.queue,
        coalesce(task.priority, template.priority),
        batch.runner_ids[1 + numbered.number % cardinality(batch.runner_ids)],
        batch.first_claim_id + numbered.number * 3 - 1
    from batch
    cross join new_task task
    join template on template.shape = task.shape
    cross join lateral (
        select task.number / 5 * (select count(*) from template) + template.place as number
    ) numbered
    cross join lateral (
        select
            template.begins <= task.frontier as has_begun,
            task.retried_place is not distinct from template.place as is_retried,
            (1 + floor(random() * 3))::integer as one_to_three
    ) drawn
    cross join lateral (
        select
            case
                when template.place = task.failing_place then 'failed'
                when task.failing_place = any (template.ancestors) then 'waiting'
                when template.ends <= task.frontier then 'complete'
                when task.kind = 'cancelled' then 'cancelled'
                when not drawn.has_begun then 'waiting'
                when task.kind in ('ready', 'running', 'backoff') then task.kind
                when task.kind in ('spread', 'paused')
                    then (array['ready', 'running', 'backoff'])[drawn.one_to_three]
                when task.kind = 'hurt'
                    then (array['ready', 'running', 'running'])[drawn.one_to_three]
                else 'ready'
            end as fate
    ) found
    cross join lateral (
        select case found.fate
            when 'failed' then drawn.one_to_three
            when 'complete' then 1 + drawn.is_retried::integer
            when 'running' then 1 + drawn.is_retried::integer
            when 'backoff' then least(2, drawn.one_to_three)
            when 'ready' then (drawn.is_retried and task.run_at is null)::integer
            when 'cancelled' then (drawn.has_begun and drawn.one_to_three = 1)::integer
            else 0
        end as attempts
    ) tried
    cross join lateral (
        select
            found.fate,
            tried.attempts,
            case found.fate
                when 'waiting' then 0
                when 'ready' then 3 * tried.attempts
                when 'running' then 3 * tried.attempts - 2
                else greatest(1, 3 * tried.attempts - 1)
            end as entries,
            case
                when found.fate in ('failed', 'backoff', 'ready') then tried.attempts
                else greatest(0, tried.attempts - 1)
            end as errors
    ) fate
    cross join lateral (
        select
            task.unit * (template.ends - template.begins) / greatest(1, tried.attempts) as part
    ) times;
end;

-- write_steps: the new steps with what is kept beside the log, their edges, queue rows and claims.
create function pg_temp.write_steps()
returns void
language sql
volatile
begin atomic
    insert into workflow_steps (
        workflow_step_id, task_id, named_step_id, claim_id, runner_id, due_at, last_attempted_at,
        last_failure_at, transition_count, unsatisfied_parents, attempts, state
    )
    select
        step.workflow_step_id,
        step.task_id,
        step.named_step_id,
        case when step.fate = 'running' then step.first_claim_id + step.attempts end,
        case when step.fate = 'running' then step.runner_id end,
        step.due_at,
        case
            when step.attempts > 0
                then step.ready_at + step.part * (step.attempts - 1 + step.wait_share)
        end,
        case when step.errors > 0 then step.ready_at + step.part * (step.errors - 0.2) end,
        step.entries,
        coalesce(waiting.parents, 0),
        step.attempts,
        case step.fate
            when 'failed' then 'error'
            when 'backoff' then 'error'
            when 'running' then 'in_progress'
            when 'ready' then 'pending'
            when 'waiting' then 'pending'
            else step.fate
        end
    from new_step step
    left join (
        select parent.workflow_step_id - edge.parent_place + edge.child_place as child_step_id,
            count(*) as parents
        from new_step parent
        join template_edge edge on edge.parent_named_step_id = parent.named_step_id
        where parent.fate <> 'complete'
        group by parent.workflow_step_id - edge.parent_place + edge.child_place
    ) waiting on waiting.child_step_id = step.workflow_step_id
    order by step.workflow_step_id;

    insert into workflow_step_edges (parent_step_id, child_step_id)
    select
        parent.workflow_step_id,
        parent.workflow_step_id - edge.parent_place + edge.child_place
    from new_step parent
    join template_edge edge on edge.parent_named_step_id = parent.named_step_id
    order by parent.workflow_step_id;

    insert into step_queue (workflow_step_id, enqueued_at, due_at, priority, is_retry, queue)
    select
        step.workflow_step_id,
        case
            when step.fate = 'backoff' then step.ended_at
            else step.ready_at + step.part * step.attempts
        end,
        coalesce(step.due_at, task.run_at),
        step.priority,
        step.fate = 'backoff',
        step.queue
    from new_step step
    join new_task task on task.task_id = step.task_id
    where step.fate in ('ready', 'backoff') and task.kind <> 'paused'
    order by step.workflow_step_id;

    insert into claim_batches (runner_id, claim_id, step_ids, claim_ids)
    select
        step.runner_id,
        step.first_claim_id + step.attempts,
        array[step.workflow_step_id],
        array[step.first_claim_id + step.attempts]
    from new_step step
    where step.fate = 'running';
end;

-- write_step_log: each attempt of a step is three rows, of which the last may lack one or two: it
-- starts, it ends, and what failed becomes pending again.
create function pg_temp.write_step_log()
returns void
language sql
volatile
begin atomic
    insert into workflow_step_transitions (
        workflow_step_id, created_at, runner_id, claim_id, due_at, ready_at, sort_key, attempts,
        most_recent, from_state, to_state, backoff_request_seconds, actor, reason, results, error
    )
    select
        step.workflow_step_id,
        case
            when entry.to_state = 'in_progress'
                then step.ready_at + step.part * (entry.attempt - 1 + step.wait_share)
            when entry.to_state = 'error' then step.ready_at + step.part * (entry.attempt - 0.2)
            when entry.to_state = 'pending' then step.ready_at + step.part * entry.attempt
            else step.ended_at
        end,
        case when entry.is_of_runner then step.runner_id end,
        case when entry.is_of_runner then step.first_claim_id + entry.attempt end,
        case
            when entry.to_state <> 'error' then null
            when entry.sort_key < step.entries then step.ready_at + step.part * entry.attempt
            else step.due_at
        end,
        case
            when entry.to_state = 'in_progress'
                then step.ready_at + step.part * (entry.attempt - 1)
        end,
        entry.sort_key,
        entry.attempt,
        entry.sort_key = step.entries,
        case entry.to_state
            when 'in_progress' then 'pending'
            when 'pending' then 'error'
            else case when step.attempts = 0 then 'pending' else 'in_progress' end
        end,
        entry.to_state,
        case when entry.to_state = 'error' and step.workflow_step_id % 10 = 0 then 5 end,
        case when entry.to_state = 'cancelled' then 'operator' end,
        case when entry.to_state = 'pending' then 'due for a retry' end,
        case when entry.to_state = 'complete' then to_jsonb(step.workflow_step_id % 1000) end,
        case
            when entry.to_state = 'error'
                then '{"type": "TimeoutError", "message": "no answer in time"}'::jsonb
        end
    from new_step step
    cross join lateral generate_series(1, step.entries) as numbered (number)
    cross join lateral (
        select case
            when step.attempts = 0 then 'cancelled'
            when numbered.number % 3 = 1 then 'in_progress'
            when numbered.number % 3 = 0 then 'pending'
            when (numbered.number + 1) / 3 <= step.errors then 'error'
            else step.fate
        end as to_state
    ) reached
    cross join lateral (
        select
            numbered.number as sort_key,
            reached.to_state,
            case when step.attempts = 0 then 0 else (numbered.number + 2) / 3 end as attempt,
            reached.to_state in ('in_progress', 'complete', 'error') as is_of_runner
    ) entry
    order by step.workflow_step_id, entry.sort_key;
end;

-- write_tasks: the new tasks and their log, as it follows from their steps.
create function pg_temp.write_tasks()
returns void
language sql
volatile
begin atomic
    with stands as (
        select
            step.task_id,
            min(step.started_at) as started_at,
            max(step.ended_at) as ended_at,
            count(*) filter (where step.fate in ('failed', 'cancelled')) as failures,
            bool_or(step.fate in ('ready', 'running', 'backoff')) as is_alive
        from new_step step
        group by step.task_id
    ),
    reached as materialized (
        select
            task.*,
            stands.started_at,
            stands.ended_at,
            case when task.kind = 'cancelled' then 0 else stands.failures end as failures,
            case
                when task.kind = 'cancelled' then 'cancelled'
                when task.kind = 'resolved' then 'resolved_manually'
                when task.kind = 'complete' then 'complete'
                when not stands.is_alive then 'error'
                when stands.started_at is null then 'pending'
                else 'in_progress'
            end as state
        from new_task task
        join stands on stands.task_id = task.task_id
    ),
    entry as (
        select task.task_id, task.started_at as created_at, 'in_progress' as to_state,
            false as paused, null as actor
        from reached task
        where task.started_at is not null
        union all
        select task.task_id, task.ended_at, 'error', false, null
        from reached task
        where task.state in ('error', 'resolved_manually')
        union all
        select task.task_id, task.ended_at + interval '5 minutes', task.state, false, 'operator'
        from reached task
        where task.state = 'resolved_manually'
        union all
        select task.task_id, task.ended_at, task.state, false,
            case when task.state = 'cancelled' then 'operator' end
        from reached task
        where task.state in ('complete', 'cancelled')
        union all
        select task.task_id, task.created_at + task.total, task.state, true, 'operator'
        from reached task
        where task.kind = 'paused'
    ),
    numbered as materialized (
        select
            entry.*,
            row_number() over task_log as sort_key,
            lag(entry.to_state, 1, 'pending') over task_log as from_state,
            lead(entry.task_id) over task_log is null as most_recent
        from entry
        window task_log as (partition by entry.task_id order by entry.created_at)
    ),
    logged as (
        insert into task_transitions (
            task_id, created_at, sort_key, most_recent, paused, from_state, to_state, actor
        )
        select numbered.task_id, numbered.created_at, numbered.sort_key, numbered.most_recent,
            numbered.paused, numbered.from_state, numbered.to_state, numbered.actor
        from numbered
        order by numbered.task_id, numbered.sort_key
    )
    insert into tasks (
        task_id, named_task_id, idempotency_scope, created_at, run_at, transition_count, failures,
        priority, paused, state, idempotency_key, initiator, context
    )
    select
        task.task_id,
        task.named_task_id,
        case when task.number % 2 = 0 then task.named_task_id end,
        task.created_at,
        task.run_at,
        coalesce(latest.sort_key, 0),
        task.failures,
        task.priority,
        task.kind = 'paused',
        task.state,
        case when task.number % 2 = 0 then 'order-' || task.task_id end,
        'shop',
        jsonb_build_object('order_id', task.task_id, 'customer', task.task_id % 1000)
    from reached task
    left join numbered latest on latest.task_id = task.task_id and latest.most_recent
    order by task.task_id;
end;
