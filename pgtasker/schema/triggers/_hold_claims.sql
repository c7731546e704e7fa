-- _hold_claims: new transitions take the place of those that were the most recent. Whatever leaves
-- in_progress is held no longer; whatever enters it is held by a live runner, under a claim of its
-- own.
--
-- Key-share locks the runners, so that a takeover under way is waited for and then obeyed.

create function _hold_claims()
returns trigger
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_hashjoin = on
set enable_nestloop = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    v_follows boolean;
    v_first bigint;
    v_last bigint;
    v_runners bigint[];
    v_live integer;
    v_holders bigint[];
    v_claims bigint[];
begin
    select
        bool_or(entered.sort_key > 1),
        min(entered.runner_id) filter (where entered.to_state = 'in_progress'),
        max(entered.runner_id) filter (where entered.to_state = 'in_progress')
    into v_follows, v_first, v_last
    from entered;
    if v_follows then
        with passed as (
            update workflow_step_transitions log
            set most_recent = false
            from entered
            where log.workflow_step_id = any (
                    array(select given.workflow_step_id from entered given)
                )
                and log.sort_key = any (
                    array(select given.sort_key - 1 from entered given where given.sort_key > 1)
                )
                and log.workflow_step_id + 0 = entered.workflow_step_id
                and log.sort_key + 0 = entered.sort_key - 1
            returning log.to_state, log.runner_id, log.claim_id
        )
        select array_agg(passed.runner_id), array_agg(passed.claim_id)
        into v_holders, v_claims
        from passed
        where passed.to_state = 'in_progress';
        delete from step_claims held
        where held.runner_id = any (v_holders) and held.claim_id = any (v_claims);
    end if;
    if v_first is null then
        return null;
    end if;

    v_runners := array[v_first];
    if v_first <> v_last then
        v_runners := array(
            select distinct given.runner_id from entered given where given.to_state = 'in_progress'
        );
    end if;
    perform
    from runners runner
    where runner.runner_id = any (v_runners)
        and runner.ended_at is null
        and runner.lease_expires_at > clock()
    for key share;
    get diagnostics v_live = row_count;
    if v_live <> cardinality(v_runners) then
        perform _require_runner(claim.runner_id)
        from unnest(v_runners) as claim (runner_id);
    end if;
    if v_follows then
        perform _refuse_used_claims(array_agg(entered.workflow_step_id))
        from entered
        where entered.to_state = 'in_progress' and entered.sort_key > 1;
    end if;
    insert into step_claims (runner_id, claim_id, workflow_step_id, timeout_at)
    select
        entered.runner_id,
        entered.claim_id,
        entered.workflow_step_id,
        case
            when entered.due_at is not null then
                entered.due_at + (select _setting_interval('timeout_margin'))
        end
    from entered
    where entered.to_state = 'in_progress';
    return null;
end;
$$;

comment on function _hold_claims() is
    'Registers what runners hold from now on, and what they hold no longer.';

create trigger c_hold_claims
after insert on workflow_step_transitions
referencing new table as entered
for each statement
execute function _hold_claims();

comment on trigger c_hold_claims on workflow_step_transitions is
    'A step in progress is held by a live runner; one transition of each step is most recent.';
