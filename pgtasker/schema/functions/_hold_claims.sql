-- _hold_claims: steps that just entered in_progress are held by live runners, each under a claim of
-- its own. first_runner and last_runner: the lowest and the highest id of them; due_at: the first
-- timeout; claimed_before: whether a step among them began before. Returns how many batches began.
--
-- Key-share locks the runners, so that a takeover under way is waited for and then obeyed.

create function _hold_claims(
    step_ids bigint[],
    claim_ids bigint[],
    first_runner bigint,
    last_runner bigint,
    due_at timestamptz,
    claimed_before boolean
)
returns integer
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_batches integer;
begin
    if _hold_claims.claimed_before then
        perform _refuse_used_claims(_hold_claims.step_ids);
    end if;
    if first_runner = last_runner then
        insert into claim_batches (runner_id, claim_id, timeout_at, step_ids, claim_ids)
        select
            runner.runner_id,
            _hold_claims.claim_ids[1],
            case when due_at is not null then due_at + _setting_interval('timeout_margin') end,
            _hold_claims.step_ids,
            _hold_claims.claim_ids
        from runners runner
        where runner.runner_id = first_runner
            and runner.ended_at is null
            and runner.lease_expires_at > clock()
            and not exists (
                select
                from claim_batches known
                where known.runner_id = first_runner
                    and known.claim_id = _hold_claims.claim_ids[1]
            )
        for key share of runner;
        get diagnostics v_batches = row_count;
        if v_batches = 0 then
            perform _require_runner(first_runner);
            perform _refuse_used_claims(_hold_claims.step_ids);
        end if;
    else
        -- Typed by hand: no runner claims for another.
        perform _require_runner(holder.runner_id)
        from (
            select distinct step.runner_id
            from workflow_steps step
            where step.workflow_step_id = any (_hold_claims.step_ids)
        ) holder;
        insert into claim_batches (runner_id, claim_id, timeout_at, step_ids, claim_ids)
        select
            step.runner_id,
            step.claim_id,
            step.due_at + _setting_interval('timeout_margin'),
            array[step.workflow_step_id],
            array[step.claim_id]
        from workflow_steps step
        where step.workflow_step_id = any (_hold_claims.step_ids);
        get diagnostics v_batches = row_count;
    end if;
    return v_batches;
end;
$$;

comment on function _hold_claims(bigint[], bigint[], bigint, bigint, timestamptz, boolean) is
    'Register what live runners hold from now on.';
