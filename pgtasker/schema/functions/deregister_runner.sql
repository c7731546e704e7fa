-- deregister_runner: an orderly end: what the runner holds goes back at once, without using up an
-- attempt. Locks the runner against claims in flight, then its steps.

create function deregister_runner(runner_id bigint)
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_runner runners;
    v_step_ids bigint[];
    v_claim_ids bigint[];
    v_dropped integer;
begin
    select runner.*
    into v_runner
    from runners runner
    where runner.runner_id = deregister_runner.runner_id
    for update;
    if v_runner.runner_id is null or v_runner.ended_at is not null then
        perform _refuse_runner(deregister_runner.runner_id, v_runner);
    end if;
    select array_agg(claim.workflow_step_id), array_agg(claim.claim_id)
    into v_step_ids, v_claim_ids
    from _held_claims claim
    where claim.runner_id = deregister_runner.runner_id;
    perform _lock_steps(v_step_ids, '{}');
    perform _give_back(v_step_ids, v_claim_ids, false, 'the runner was deregistered');
    v_dropped := _drop_ended_claims(array[deregister_runner.runner_id]);
    update runners runner
    set ended_at = clock(), end_reason = 'deregistered', waiting_until = null, lock_pid = null
    where runner.runner_id = deregister_runner.runner_id;
    if v_runner.waiting_until is not null then
        -- A wake-up may be on its way to it: pass it on.
        perform _wake(v_runner.queues, clock());
    end if;
    if v_runner.lock_pid = pg_backend_pid() then
        perform pg_advisory_unlock(_runner_lock_key(deregister_runner.runner_id));
    end if;
end;
$$;

comment on function deregister_runner(bigint) is
    'End a runner; its steps go back at once, without using up an attempt.';
