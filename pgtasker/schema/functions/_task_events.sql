-- _task_events: tasks that were created, ended or failed, from the tables, of some transactions and
-- since a time; how long it took from when they could start.

create function _task_events(first_xact_id bigint, end_xact_id bigint, since timestamptz)
returns table (
    task_id bigint,
    named_task_id bigint,
    sort_key integer,
    happened_at timestamptz,
    event text,
    total_seconds double precision
)
language sql
stable
begin atomic
    select
        task.task_id, task.named_task_id, 0, task.created_at, 'created', 0::double precision
    from tasks task
    where task.xact_id >= _task_events.first_xact_id
        and task.xact_id < _task_events.end_xact_id
        and task.created_at >= _task_events.since
    union all
    select
        ended.task_id,
        task.named_task_id,
        ended.sort_key,
        ended.created_at,
        ended.to_state,
        greatest(0, extract(epoch from ended.created_at - greatest(task.created_at, task.run_at)))
            ::double precision
    from (
        select log.*
        from task_transitions log
        where log.xact_id >= _task_events.first_xact_id
            and log.xact_id < _task_events.end_xact_id
            and log.created_at >= _task_events.since
            and log.to_state in ('complete', 'error', 'cancelled', 'resolved_manually')
            and log.to_state <> log.from_state
        offset 0
    ) ended
    cross join lateral (
        select found.named_task_id, found.created_at, found.run_at
        from tasks found
        where found.task_id = ended.task_id
        offset 0
    ) task;
end;

comment on function _task_events(bigint, bigint, timestamptz) is
    'Tasks that were created, ended or failed, with how long that took.';
