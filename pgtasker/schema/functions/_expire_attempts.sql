-- _expire_attempts: fails attempts that ran past their timeout and a margin, in which the runner
-- should have ended them itself. A timeout is a failure like any other.
--
-- A batch tells when the first of its attempts is due; what was extended tells for itself.

create function _expire_attempts()
returns void
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_nestloop = on
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    v_now timestamptz := clock();
    v_margin interval := _setting_interval('timeout_margin');
    v_overdue jsonb;
    v_step_ids bigint[];
begin
    if not exists (select from claim_batches batch where batch.timeout_at <= v_now)
        and not exists (select from claim_extensions known where known.timeout_at <= v_now)
    then
        return;
    end if;
    select
        jsonb_agg(
            jsonb_build_object(
                'workflow_step_id', overdue.workflow_step_id,
                'claim_id', overdue.claim_id,
                'outcome', 'fail',
                'error', jsonb_build_object(
                    'type', 'Timeout',
                    'message', format(
                        'the attempt was still running at %s, past its timeout',
                        overdue.timeout_at
                    )
                )
            )
        ),
        array_agg(overdue.workflow_step_id)
    into v_overdue, v_step_ids
    from (
        select step.workflow_step_id, step.claim_id, due.timeout_at
        from (
            select begun.workflow_step_id, begun.claim_id
            from claim_batches batch
            cross join lateral unnest(batch.step_ids, batch.claim_ids)
                as begun (workflow_step_id, claim_id)
            where batch.timeout_at <= v_now
            union
            select known.workflow_step_id, known.claim_id
            from claim_extensions known
            where known.timeout_at <= v_now
        ) candidate
        join workflow_steps step on step.workflow_step_id = candidate.workflow_step_id
        left join claim_extensions extension on extension.claim_id = candidate.claim_id
        cross join lateral (
            select coalesce(extension.timeout_at, step.due_at + v_margin) as timeout_at
        ) due
        where step.claim_id = candidate.claim_id and due.timeout_at <= v_now
        order by step.workflow_step_id
        limit 1000
        for update of step skip locked
    ) overdue;
    if v_overdue is not null then
        perform _report_outcomes(v_overdue, v_step_ids, null, '{}', '{}');
    end if;
    perform _renew_timeouts(v_now, v_margin);
end;
$$;

comment on function _expire_attempts() is
    'Fail attempts that ran past their timeout.';
