-- monitoring_metrics: what a monitoring system collects, one row for each value, named as in
-- OpenMetrics: gauges of what is at work now, counters since the install.
--
-- Reads the queue, the claims, the runners and the all-time rollups, which are a few seconds old;
-- never the log.

create view monitoring_metrics as
with now as materialized (
    select clock() as at
),
queued as (
    select
        waiting.queue,
        count(*) filter (where waiting.due_at is null or waiting.due_at <= now.at) as depth,
        count(*) filter (where waiting.due_at > now.at) as scheduled,
        extract(epoch from now.at - min(coalesce(waiting.due_at, waiting.enqueued_at)) filter (
            where waiting.due_at is null or waiting.due_at <= now.at
        )) as oldest_age
    from step_queue waiting
    cross join now
    group by waiting.queue, now.at
),
fleet as (
    select
        runner.*,
        case
            when runner.ended_at is not null or runner.lease_expires_at <= now.at then 'lost'
            when runner.waiting_until is not null then 'waiting'
            else 'live'
        end as state
    from runners runner
    cross join now
    where runner.end_reason is distinct from 'deregistered'
),
served as (
    select serving.queue, count(*) as runners
    from fleet
    cross join unnest(fleet.queues) as serving (queue)
    where fleet.state <> 'lost'
    group by serving.queue
),
held as (
    select
        named_step.queue,
        count(*) as steps,
        count(*) filter (where fleet.state = 'lost' or claim.timeout_at <= now.at) as stalled,
        count(*) filter (where fleet.suspected_at is not null) as at_risk
    from _held_claims claim
    cross join now
    join fleet on fleet.runner_id = claim.runner_id
    join named_steps named_step on named_step.named_step_id = claim.named_step_id
    group by named_step.queue
),
queue as (
    select
        known.queue,
        jsonb_build_object('queue', known.queue) as labels,
        coalesce(queued.depth, 0) as depth,
        coalesce(queued.oldest_age, 0) as oldest_age,
        coalesce(queued.scheduled, 0) as scheduled,
        coalesce(held.steps, 0) as in_progress,
        coalesce(served.runners, 0) as runners,
        coalesce(paused.paused, false)::integer as paused
    from (
        select queued.queue from queued
        union select held.queue from held
        union select served.queue from served
        union select paused.queue from queues paused where paused.paused
    ) known
    left join queued on queued.queue = known.queue
    left join held on held.queue = known.queue
    left join served on served.queue = known.queue
    left join queues paused on paused.queue = known.queue
),
active as (
    select task.state, count(*) as tasks, sum(task.failures) as failures
    from tasks task
    where not task.complete
    group by task.state
),
counted as (
    select
        rollup.subject, rollup.fact, named_task.namespace, named_task.name as workflow,
        named_step.name as step, sum(rollup.occurrences) as occurrences,
        sum(rollup.seconds) as seconds
    from rollups rollup
    left join named_steps named_step
        on rollup.subject = 'step' and named_step.named_step_id = rollup.named_id
    join named_tasks named_task on named_task.named_task_id = coalesce(
        named_step.named_task_id,
        rollup.named_id
    )
    where rollup.bucket_at = '-infinity'
    group by rollup.subject, rollup.fact, named_task.namespace, named_task.name, named_step.name
)
select
    'pgtasker_' || metric.name as name,
    metric.kind,
    metric.labels,
    metric.value::double precision as value,
    metric.description
from (
    select gauge.name, 'gauge', queue.labels, gauge.value, gauge.description
    from queue
    cross join lateral (
        values
            ('queue_depth', queue.depth, 'Steps that are ready and wait for a runner.'),
            ('queue_oldest_age_seconds', queue.oldest_age,
                'How long the oldest ready step has waited.'),
            ('queue_scheduled', queue.scheduled, 'Steps that wait for a time.'),
            ('queue_in_progress', queue.in_progress, 'Steps that runners hold.'),
            ('queue_runners', queue.runners, 'Live runners that serve the queue.'),
            ('queue_paused', queue.paused, '1 while the queue is paused.')
    ) as gauge (name, value, description)
    union all
    select
        'runners', 'gauge', jsonb_build_object('state', known.state), count(fleet.runner_id),
        'Runners by state: live, waiting for work, or lost in the last day.'
    from (values ('live'), ('waiting'), ('lost')) as known (state)
    left join fleet on fleet.state = known.state
    group by known.state
    union all
    select
        'tasks', 'gauge', jsonb_build_object('state', known.state), coalesce(active.tasks, 0),
        'Unfinished tasks by state.'
    from (values ('pending'), ('in_progress'), ('error')) as known (state)
    left join active on active.state = known.state
    union all
    select
        'steps_exhausted', 'gauge', '{}', coalesce(sum(active.failures), 0),
        'Steps of unfinished tasks that failed for good.'
    from active
    union all
    select
        claims.name, 'gauge', '{}', claims.value, claims.description
    from (
        select coalesce(sum(held.at_risk), 0) as at_risk, coalesce(sum(held.stalled), 0) as stalled
        from held
    ) total
    cross join lateral (
        values
            ('claims_at_risk', total.at_risk, 'Claims of runners that are suspected to be dead.'),
            ('claims_stalled', total.stalled, 'Claims whose runner or timeout is over.')
    ) as claims (name, value, description)
    union all
    select
        counter.name, 'counter',
        jsonb_build_object('namespace', counted.namespace, 'workflow', counted.workflow)
            || counter.labels,
        counted.occurrences, counter.description
    from counted
    cross join lateral (
        values
            ('created', 'tasks_created_total', '{}'::jsonb, 'Tasks that were created.'),
            ('error', 'tasks_failed_total', '{}', 'How often a task failed.'),
            ('complete', 'tasks_finished_total', '{"state": "complete"}', 'Tasks that are over.'),
            ('cancelled', 'tasks_finished_total', '{"state": "cancelled"}', 'Tasks that are over.'),
            ('resolved_manually', 'tasks_finished_total', '{"state": "resolved_manually"}',
                'Tasks that are over.')
    ) as counter (fact, name, labels, description)
    where counted.subject = 'task' and counter.fact = counted.fact
    union all
    select
        counter.name, 'counter',
        jsonb_build_object(
            'namespace', counted.namespace, 'workflow', counted.workflow, 'step', counted.step
        ) || counter.labels,
        counter.value, counter.description
    from counted
    cross join lateral (
        values
            ('attempts_total', jsonb_build_object('outcome', counted.fact),
                counted.occurrences::double precision, 'Attempts that ended, by how.',
                counted.fact <> 'wait'),
            ('wait_seconds_total', '{}', counted.seconds,
                'How long steps waited in the queue for their attempts.', counted.fact = 'wait')
    ) as counter (name, labels, value, description, holds)
    where counted.subject = 'step' and counter.holds
    union all
    select
        'run_seconds_total', 'counter',
        jsonb_build_object(
            'namespace', counted.namespace, 'workflow', counted.workflow, 'step', counted.step
        ),
        sum(counted.seconds), 'How long attempts ran.'
    from counted
    where counted.subject = 'step' and counted.fact <> 'wait'
    group by counted.namespace, counted.workflow, counted.step
    union all
    select gauge.name, 'gauge', '{}', gauge.value, gauge.description
    from now
    cross join lateral (
        select
            count(*) filter (where activity.datname = current_database()) as connections,
            coalesce(
                extract(epoch from max(clock_timestamp() - activity.xact_start)),
                0
            ) as oldest_transaction
        from pg_stat_activity activity
        where activity.backend_type = 'client backend'
    ) server
    cross join rollup_progress progress
    cross join lateral (
        values
            ('database_connections', server.connections, 'Connections to this database.'),
            ('database_max_connections', current_setting('max_connections')::numeric,
                'Connections that the server allows.'),
            ('database_oldest_transaction_seconds', server.oldest_transaction,
                'Age of the oldest transaction that this user may see.'),
            ('rollup_lag_seconds',
                case
                    when isfinite(progress.rolled_up_at)
                        then greatest(0, extract(epoch from now.at - progress.rolled_up_at))
                    else 0
                end,
                'How long ago the counters were last complete.')
    ) as gauge (name, value, description)
) as metric (name, kind, labels, value, description);

comment on view monitoring_metrics is
    'Gauges and counters for a monitoring system, named as in OpenMetrics.';
