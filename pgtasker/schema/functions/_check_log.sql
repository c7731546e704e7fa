-- _check_log: the log by itself: numbered without gaps, each row leads to the next by a legal edge,
-- exactly the last one is most recent, claim ids of a step grow.

create function _check_log()
returns table (violation text, task_id bigint, workflow_step_id bigint, details jsonb)
language sql
stable
begin atomic
    with entry as (
        select
            log.*,
            lag(log.to_state, 1, 'pending') over step_log as previous_state,
            lag(log.attempts, 1, 0) over step_log as previous_attempts,
            row_number() over step_log as place,
            count(*) over (partition by log.workflow_step_id) as rows_in_all,
            max(log.claim_id) filter (where log.to_state = 'in_progress') over (
                partition by log.workflow_step_id
                order by log.sort_key
                rows between unbounded preceding and 1 preceding
            ) as previous_claim_id
        from workflow_step_transitions log
        window step_log as (partition by log.workflow_step_id order by log.sort_key)
    ),
    task_entry as (
        select
            log.*,
            lag(log.to_state, 1, 'pending') over task_log as previous_state,
            row_number() over task_log as place,
            count(*) over (partition by log.task_id) as rows_in_all
        from task_transitions log
        window task_log as (partition by log.task_id order by log.sort_key)
    )
    select broken.violation, null::bigint, entry.workflow_step_id, to_jsonb(entry)
    from entry
    cross join lateral (
        values
            ('step log has a gap', entry.sort_key <> entry.place),
            ('step log does not follow', entry.from_state <> entry.previous_state),
            (
                'step log has an illegal edge',
                not _step_edge_is_legal(entry.from_state, entry.to_state)
            ),
            ('step log miscounts attempts', entry.attempts <> _attempts_after(
                entry.previous_attempts, entry.from_state, entry.to_state, entry.attempt_counts
            )),
            (
                'most_recent is not the last row',
                entry.most_recent <> (entry.place = entry.rows_in_all)
            ),
            ('claim ids do not grow', entry.to_state = 'in_progress'
                and entry.claim_id <= entry.previous_claim_id)
    ) as broken (violation, holds)
    where broken.holds
    union all
    select broken.violation, task_entry.task_id, null::bigint, to_jsonb(task_entry)
    from task_entry
    cross join lateral (
        values
            ('task log has a gap', task_entry.sort_key <> task_entry.place),
            ('task log does not follow', task_entry.from_state <> task_entry.previous_state),
            ('task log has an illegal edge', task_entry.from_state <> task_entry.to_state
                and not _task_edge_is_legal(task_entry.from_state, task_entry.to_state)),
            ('most_recent is not the last row',
                task_entry.most_recent <> (task_entry.place = task_entry.rows_in_all))
    ) as broken (violation, holds)
    where broken.holds;
end;

comment on function _check_log() is
    'Broken invariants of the log itself.';
