-- _keep_freed: of the steps that the outcomes of a runner are about to free (freed, with their
-- tasks and names, see _lock_reported), those that it starts itself, without the queue: of its
-- queues, and of no lower priority than what waits there, or is about to: other_ids failed or were
-- released. leaves_some: the report will enqueue some of what it frees, or what comes back. If one
-- of the claims is lost (are_held is false), nothing is kept: who knows what is freed then.
--
-- A runner goes on with the tasks it has in hand. Where something waits, one claim in eight does
-- not and puts them behind it: long tasks never shut it out.
--
-- As a rule nothing waits under a higher priority, which is seen without a look at what does wait.

create function _keep_freed(
    queues text[],
    freed bigint[],
    task_ids bigint[],
    named_ids bigint[],
    are_held boolean,
    other_ids bigint[],
    max_steps integer,
    out step_ids bigint[],
    out leaves_some boolean
)
returns record
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
    v_candidates bigint[];
    v_priorities integer[];
    v_lowest integer;
    v_highest integer;
begin
    step_ids := '{}'::bigint[];
    leaves_some := freed is not null or other_ids is not null;
    if freed is null or not are_held then
        return;
    end if;
    if random() < 0.125 then
        -- Not in the condition above: a look, if only in case, is a plan to be started every time.
        if exists (select from _ready_heads(_keep_freed.queues)) then
            return;
        end if;
    end if;
    select
        array_agg(candidate.workflow_step_id),
        array_agg(candidate.priority),
        min(candidate.priority)
    into v_candidates, v_priorities, v_lowest
    from (
        select
            step.workflow_step_id,
            coalesce(task.priority, named_step.priority) as priority
        from unnest(_keep_freed.freed, _keep_freed.task_ids, _keep_freed.named_ids)
            as step (workflow_step_id, task_id, named_step_id)
        join tasks task
            on task.task_id = any (_keep_freed.task_ids)
            and task.task_id + 0 = step.task_id
        join named_steps named_step
            on named_step.named_step_id = any (_keep_freed.named_ids)
            and named_step.named_step_id + 0 = step.named_step_id
        where task.state = 'in_progress'
            and not task.paused
            and named_step.queue = any (_keep_freed.queues)
            and named_step.queue <> all (
                array(select queue.queue from queues queue where queue.paused)
            )
        order by priority desc, step.workflow_step_id
        limit _keep_freed.max_steps
    ) candidate;
    if other_ids is not null then
        v_highest := _highest_priority(other_ids);
    end if;
    if exists (
        select
        from queue_heads known
        where known.queue = any (_keep_freed.queues) and known.priority > v_lowest
    )
        or exists (
            select
            from step_queue waiting
            where waiting.queue = any (_keep_freed.queues)
                and waiting.due_at is null
                and waiting.priority > v_lowest
        )
    then
        v_highest := greatest(
            v_highest, (select max(head.priority) from _ready_heads(_keep_freed.queues) head)
        );
    end if;
    if v_highest > v_lowest then
        v_candidates := array(
            select candidate.workflow_step_id
            from unnest(v_candidates, v_priorities) with ordinality
                as candidate (workflow_step_id, priority, place)
            where candidate.priority >= v_highest
            order by candidate.place
        );
    end if;
    step_ids := coalesce(v_candidates, '{}');
    leaves_some := other_ids is not null or cardinality(step_ids) < cardinality(freed);
end;
$$;

comment on function _keep_freed(
    text[], bigint[], bigint[], bigint[], boolean, bigint[], integer
) is
    'Steps about to be freed that their runner starts itself; the others go to the queue.';
