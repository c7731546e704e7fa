-- _ended_attempts: attempts that ended, from the log, of some transactions and since a time: how,
-- how long they ran, and how long their step had waited in the queue before.
--
-- An attempt is a pair of rows: the one that ended it follows the one that began it. Inlined into
-- the functions that read it, which pin how it is read.

create function _ended_attempts(first_xact_id bigint, end_xact_id bigint, since timestamptz)
returns table (
    workflow_step_id bigint,
    named_step_id bigint,
    sort_key integer,
    ended_at timestamptz,
    outcome text,
    run_seconds double precision,
    wait_seconds double precision
)
language sql
stable
begin atomic
    select
        ended.workflow_step_id,
        step.named_step_id,
        ended.sort_key,
        ended.created_at,
        case
            when ended.to_state <> 'pending' then ended.to_state
            when ended.attempt_counts then 'lost'
            else 'released'
        end,
        greatest(0, extract(epoch from ended.created_at - begun.created_at))::double precision,
        greatest(0, extract(epoch from begun.created_at - begun.ready_at))::double precision
    from (
        select log.*
        from workflow_step_transitions log
        where log.xact_id >= _ended_attempts.first_xact_id
            and log.xact_id < _ended_attempts.end_xact_id
            and log.created_at >= _ended_attempts.since
            and log.from_state = 'in_progress'
        offset 0
    ) ended
    cross join lateral (
        select found.created_at, found.ready_at
        from workflow_step_transitions found
        where found.workflow_step_id = ended.workflow_step_id
            and found.sort_key = ended.sort_key - 1
        offset 0
    ) begun
    cross join lateral (
        select found.named_step_id
        from workflow_steps found
        where found.workflow_step_id = ended.workflow_step_id
        offset 0
    ) step;
end;

comment on function _ended_attempts(bigint, bigint, timestamptz) is
    'Attempts that ended, with how long they ran and how long their step had waited.';
