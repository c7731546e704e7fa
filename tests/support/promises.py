"""The promises of the engine, each as a query for what breaks it; no rows: it is kept.

Responsible for the questions; asking them is left to `invariants`. Each gives the task, the step
and a text, and reads the log, the public views and the public functions only. Order within an
entity is by `sort_key`. Between a parent and its child it is by claim id, which a sequence gives
in the order of claims, and by time with a margin.
"""

from __future__ import annotations

LATEST = """
    latest as (
        select log.* from workflow_step_transitions log where log.most_recent
    ),
    latest_of_task as (
        select log.* from task_transitions log where log.most_recent
    ),
    graph as (
        select
            shown.workflow_step_id, shown.task_id, shown.parent_step_ids,
            coalesce(latest.to_state, 'pending') as state,
            coalesce(latest.attempts, 0) as attempts,
            latest.due_at, latest.runner_id
        from step_dag_relationships shown
        left join latest on latest.workflow_step_id = shown.workflow_step_id
    ),
    family as (
        select
            graph.workflow_step_id,
            count(*) as parents,
            count(*) filter (
                where parent.to_state in ('complete', 'resolved_manually', 'skipped')
            ) as satisfied
        from graph
        cross join lateral unnest(graph.parent_step_ids) as edge (parent_step_id)
        left join latest parent on parent.workflow_step_id = edge.parent_step_id
        group by graph.workflow_step_id
    )
"""

NO_TASK_IS_LOST = """
    select given.task_id, null::bigint, 'its start was acknowledged, and it is not there'
    from unnest(%(started)s::bigint[]) as given (task_id)
    where not exists (select from task_list task where task.task_id = given.task_id)
    union all
    select task.task_id, null, 'it is left unfinished: ' || task.state
    from task_list task
    where %(settled)s and task.state in ('pending', 'in_progress')
"""

A_STEP_ENDS_ONCE = """
    select null::bigint, log.workflow_step_id, 'entered a final state ' || count(*) || ' times'
    from workflow_step_transitions log
    where log.to_state in ('complete', 'resolved_manually', 'skipped', 'cancelled')
    group by log.workflow_step_id
    having count(*) > 1
    union all
    select null, min(log.workflow_step_id), format(
        'claim %%s ended %%s times', log.claim_id, count(*)
    )
    from workflow_step_transitions log
    where log.from_state = 'in_progress' and log.claim_id is not null
    group by log.claim_id
    having count(*) > 1
"""

ONLY_ITS_CLAIM_ENDS_AN_ATTEMPT = """
    select null::bigint, entry.workflow_step_id, format(
        'row %%s was written under claim %%s of runner %%s, held was claim %%s of runner %%s',
        entry.sort_key, entry.claim_id, entry.runner_id, entry.held_claim, entry.held_runner
    )
    from (
        select
            log.*,
            lag(log.claim_id) over of_step as held_claim,
            lag(log.runner_id) over of_step as held_runner
        from workflow_step_transitions log
        window of_step as (partition by log.workflow_step_id order by log.sort_key)
    ) entry
    where entry.from_state = 'in_progress'
        and entry.claim_id is not null
        and (entry.claim_id, entry.runner_id) is distinct from (entry.held_claim, entry.held_runner)
"""

PARENTS_COME_FIRST = """
    with satisfied as (
        select log.workflow_step_id, log.created_at, log.claim_id
        from workflow_step_transitions log
        where log.to_state in ('complete', 'resolved_manually', 'skipped')
    ),
    started as (
        select
            log.workflow_step_id,
            min(log.claim_id) as claim_id,
            min(log.created_at) as created_at
        from workflow_step_transitions log
        where log.to_state in ('in_progress', 'complete')
        group by log.workflow_step_id
    )
    select
        shown.task_id,
        shown.workflow_step_id,
        case
            when satisfied.workflow_step_id is null then 'ran, and a parent is not satisfied: '
            else 'ran before its parent: '
        end || edge.parent_step_id
    from step_dag_relationships shown
    join started on started.workflow_step_id = shown.workflow_step_id
    cross join lateral unnest(shown.parent_step_ids) as edge (parent_step_id)
    left join satisfied on satisfied.workflow_step_id = edge.parent_step_id
    where satisfied.workflow_step_id is null
        or started.claim_id <= satisfied.claim_id
        or started.created_at < satisfied.created_at - interval '1 s'
"""

ATTEMPTS_ARE_LIMITED = """
    select null::bigint, log.workflow_step_id, format(
        'row %%s is attempt %%s of %%s', log.sort_key, log.attempts, shown.retry_limit
    )
    from workflow_step_transitions log
    join step_readiness_statuses shown on shown.workflow_step_id = log.workflow_step_id
    where log.attempts > greatest(shown.retry_limit, 1)
    union all
    select null, recount.workflow_step_id, format(
        'row %%s says %%s attempts, there were %%s', recount.sort_key, recount.said, recount.counted
    )
    from (
        select
            entry.workflow_step_id, entry.sort_key, entry.attempts as said,
            sum(entry.used) over (
                partition by entry.workflow_step_id, entry.round order by entry.sort_key
            ) as counted
        from (
            select
                log.workflow_step_id, log.sort_key, log.attempts,
                case
                    when log.to_state = 'in_progress' then 1
                    when log.to_state = 'pending' and log.from_state = 'in_progress'
                        and not log.attempt_counts then -1
                    else 0
                end as used,
                count(*) filter (
                    where log.to_state = 'pending' and log.from_state <> 'in_progress'
                        and not log.attempt_counts
                ) over (partition by log.workflow_step_id order by log.sort_key) as round
            from workflow_step_transitions log
        ) entry
    ) recount
    where recount.said <> recount.counted
"""

CLAIM_IDS_GROW = """
    select null::bigint, entry.workflow_step_id, format(
        'claim %%s comes after claim %%s', entry.claim_id, entry.before
    )
    from (
        select
            log.*,
            lag(log.claim_id) over (
                partition by log.workflow_step_id order by log.sort_key
            ) as before
        from workflow_step_transitions log
        where log.to_state = 'in_progress'
    ) entry
    where entry.claim_id is null or entry.claim_id <= entry.before
    union all
    select null, min(log.workflow_step_id), 'claim ' || log.claim_id || ' was given twice'
    from workflow_step_transitions log
    where log.to_state = 'in_progress'
    group by log.claim_id
    having count(*) > 1
"""

ONE_ROW_IS_THE_LAST = """
    select entry.task_id, entry.workflow_step_id, format(
        'most_recent of row %%s of %%s is %%s', entry.sort_key, entry.last, entry.most_recent
    )
    from (
        select
            null::bigint as task_id, log.workflow_step_id, log.sort_key, log.most_recent,
            max(log.sort_key) over (partition by log.workflow_step_id) as last
        from workflow_step_transitions log
        union all
        select
            log.task_id, null, log.sort_key, log.most_recent,
            max(log.sort_key) over (partition by log.task_id)
        from task_transitions log
    ) entry
    where entry.most_recent is distinct from (entry.sort_key = entry.last)
"""

STEPS_ARE_COUNTED = f"""
    with {LATEST}
    select shown.task_id, shown.workflow_step_id, format(
        '%%s, %%s attempts, %%s of %%s parents; the log says %%s, %%s, %%s of %%s',
        shown.current_state, shown.attempts, shown.completed_parents, shown.total_parents,
        graph.state, graph.attempts, coalesce(family.satisfied, 0), coalesce(family.parents, 0)
    )
    from step_readiness_statuses shown
    full join graph on graph.workflow_step_id = shown.workflow_step_id
    left join family on family.workflow_step_id = graph.workflow_step_id
    where (
        shown.current_state, shown.attempts, shown.total_parents, shown.completed_parents
    ) is distinct from (
        graph.state, graph.attempts, coalesce(family.parents, 0)::integer,
        coalesce(family.satisfied, 0)::integer
    )
"""

TASKS_ARE_COUNTED = f"""
    with {LATEST},
    recount as (
        select
            graph.task_id,
            count(*) as total,
            count(*) filter (
                where graph.state in ('complete', 'resolved_manually', 'skipped', 'cancelled')
            ) as processed,
            count(*) filter (where graph.state = 'error') as failed,
            count(*) filter (where graph.state = 'in_progress') as running
        from graph
        group by graph.task_id
    )
    select task.task_id, null::bigint, format(
        '%%s (paused: %%s), %%s of %%s steps processed, %%s failed, %%s running; '
        'the log says %%s of %%s, %%s, %%s',
        task.state, task.paused, task.processed_steps, task.total_steps, task.failed_steps,
        context.in_progress_steps,
        recount.processed, recount.total, recount.failed, recount.running
    )
    from task_list task
    join task_execution_contexts context on context.task_id = task.task_id
    left join latest_of_task on latest_of_task.task_id = task.task_id
    left join recount on recount.task_id = task.task_id
    where (task.state, task.paused) is distinct from (
            coalesce(latest_of_task.to_state, 'pending'), coalesce(latest_of_task.paused, false)
        )
        or (task.total_steps, task.processed_steps, task.failed_steps, context.in_progress_steps)
            is distinct from (
                recount.total::integer, recount.processed::integer, recount.failed::integer,
                recount.running::integer
            )
"""

THE_QUEUE_IS_COUNTED = f"""
    with {LATEST},
    recount as (
        select
            count(*) filter (where graph.state = 'in_progress') as running,
            count(*) filter (
                where (graph.state = 'pending' or graph.state = 'error')
                    and (graph.state = 'pending' or graph.due_at is not null)
                    and coalesce(family.parents = family.satisfied, true)
                    and coalesce(task.to_state, 'pending') in ('pending', 'in_progress', 'error')
                    and not coalesce(task.paused, false)
            ) as waiting
        from graph
        left join family on family.workflow_step_id = graph.workflow_step_id
        left join latest_of_task task on task.task_id = graph.task_id
    )
    select null::bigint, null::bigint, format(
        '%%s wait and %%s run where the log says %%s and %%s',
        shown.waiting, shown.running, recount.waiting, recount.running
    )
    from recount
    cross join (
        select
            coalesce(sum(queue.depth + queue.scheduled), 0) as waiting,
            coalesce(sum(queue.in_process), 0) as running
        from list_queues() queue
    ) shown
    where (shown.waiting, shown.running) is distinct from (recount.waiting, recount.running)
"""

RUNNERS_HOLD_WHAT_THE_LOG_SAYS = f"""
    with {LATEST}
    select null::bigint, null::bigint, format(
        'runner %%s holds %%s steps where the log says %%s',
        coalesce(runner.runner_id, held.runner_id), runner.held_steps, held.steps
    )
    from list_runners() runner
    full join (
        select graph.runner_id, count(*)::integer as steps
        from graph
        where graph.state = 'in_progress'
        group by graph.runner_id
    ) held on held.runner_id = runner.runner_id
    where coalesce(runner.held_steps, 0) <> coalesce(held.steps, 0)
"""

FAILURES_HAVE_A_CAUSE = """
    select null::bigint, log.workflow_step_id, format(
        '%%s by the loss of runner %%s (%%s), which lived',
        case log.to_state when 'error' then 'failed' else 'lost an attempt' end,
        log.runner_id, coalesce(runner.name, 'unknown')
    )
    from workflow_step_transitions log
    left join list_runners() runner on runner.runner_id = log.runner_id
    where log.from_state = 'in_progress'
        and log.actor is null
        and (
            log.to_state = 'pending' and log.attempt_counts
            or log.to_state = 'error' and log.error ->> 'type' = 'RunnerLost'
        )
        and %(gone)s::text[] is not null
        and (runner.name = any (%(gone)s::text[])) is not true
    union all
    select null, log.workflow_step_id, 'failed, and nobody reported why: ' || coalesce(
        log.error::text, 'no error'
    )
    from workflow_step_transitions log
    where log.to_state = 'error'
        and log.actor is null
        and log.error ->> 'type' is distinct from 'RunnerLost'
        and (
            log.error is null
            or cardinality(%(failures)s::text[]) > 0
            and (log.error ->> 'type' = any (%(failures)s::text[])) is not true
        )
"""

NOTHING_DEADLOCKED = """
    select null::bigint, null::bigint, statistics.deadlocks || ' deadlocks in this database'
    from pg_stat_database statistics
    where statistics.datname = current_database() and statistics.deadlocks > 0
"""

THE_ENGINE_AGREES = """
    select found.task_id, found.workflow_step_id, found.violation || ': ' || found.details
    from check_consistency() found
"""

PROMISES = {
    "no task is lost": NO_TASK_IS_LOST,
    "a step ends once": A_STEP_ENDS_ONCE,
    "only its claim ends an attempt": ONLY_ITS_CLAIM_ENDS_AN_ATTEMPT,
    "no step starts before its parents are satisfied": PARENTS_COME_FIRST,
    "attempts are limited per round, and counted": ATTEMPTS_ARE_LIMITED,
    "claim ids of a step grow": CLAIM_IDS_GROW,
    "exactly the last row is most recent": ONE_ROW_IS_THE_LAST,
    "steps are as a recount says": STEPS_ARE_COUNTED,
    "tasks are as a recount says": TASKS_ARE_COUNTED,
    "the queue holds what can run, and nothing else": THE_QUEUE_IS_COUNTED,
    "runners hold what the log says": RUNNERS_HOLD_WHAT_THE_LOG_SAYS,
    "no step fails without a cause": FAILURES_HAVE_A_CAUSE,
    "nothing deadlocks": NOTHING_DEADLOCKED,
    "the engine finds nothing wrong with itself": THE_ENGINE_AGREES,
}
