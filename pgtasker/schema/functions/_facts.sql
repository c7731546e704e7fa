-- _facts: what happened, from the log: one row for each fact about a task or an attempt. The only
-- place that says what is counted; the rollup and whoever asks about the last hour read it alike.

create function _facts(first_xact_id bigint, end_xact_id bigint, since timestamptz)
returns table (
    happened_at timestamptz,
    subject text,
    named_id bigint,
    entity_id bigint,
    sort_key integer,
    fact text,
    seconds double precision
)
language sql
stable
begin atomic
    select
        attempt.ended_at, 'step', attempt.named_step_id, attempt.workflow_step_id,
        attempt.sort_key, measured.fact, measured.seconds
    from _ended_attempts(
        _facts.first_xact_id, _facts.end_xact_id, _facts.since
    ) attempt
    cross join lateral (
        values (attempt.outcome, attempt.run_seconds), ('wait', attempt.wait_seconds)
    ) as measured (fact, seconds)
    where measured.seconds is not null
    union all
    select
        task.happened_at, 'task', task.named_task_id, task.task_id, task.sort_key, task.event,
        task.total_seconds
    from _task_events(
        _facts.first_xact_id, _facts.end_xact_id, _facts.since
    ) task;
end;

comment on function _facts(bigint, bigint, timestamptz) is
    'What happened to tasks and attempts of steps, one row each, from the log.';
