-- advance_json: reports a batch of outcomes and claims the next one, in one round trip and one
-- commit. For clients that parse the answer themselves: it is JSON as text, and the server reads it
-- no more.
--
-- A child that an outcome just made ready can be in the batch that it returns: of the same priority
-- it goes before what waits in the queue, see _keep_freed. One raced outcome is lost, the others
-- count. Locks the runner, then as reporting and claiming do. What starts does so in the insert
-- that ends what was reported; only if that leaves something in the queue that may be claimed too,
-- another one follows.

create function advance_json(
    runner_id bigint,
    outcomes jsonb,
    max_steps int,
    out lost bigint[],
    out claimed text
)
returns record
language plpgsql
volatile
set search_path from current
set plan_cache_mode = force_generic_plan
as $$
declare
    v_runner runners := _require_runner(advance_json.runner_id);
    v_most integer := _check_max_steps(advance_json.max_steps);
    v_reports boolean := coalesce(advance_json.outcomes, '[]') <> '[]';
    v_outcomes jsonb;
    v_reported record;
    v_freeing record;
    v_came_due boolean;
    v_kept record;
    v_room integer;
    v_taken bigint[] := '{}'::bigint[];
    v_done record;
    v_step_ids bigint[] := '{}'::bigint[];
    v_claiming text;
begin
    lost := '{}'::bigint[];
    claimed := '[]';
    if v_reports then
        v_outcomes := _bounded_outcomes(advance_json.outcomes);
        v_reported := _check_outcomes(v_outcomes);
        if v_reported.repeats then
            v_outcomes := _distinct_outcomes(v_outcomes);
            v_reported := _check_outcomes(v_outcomes);
        end if;
        v_freeing := _lock_reported(
            v_reported.step_ids, v_reported.completed_ids, v_reported.completed_claims
        );
        if v_most = 0 then
            v_done := _report_outcomes(
                v_outcomes, v_reported.step_ids, v_runner.runner_id, '{}', '{}'
            );
            lost := v_done.lost;
            return;
        end if;
        v_claiming := set_config('pgtasker.claiming', v_runner.queues::text, true);
        v_came_due := _refresh_queue(v_most);
        v_kept := _keep_freed(
            v_runner.queues,
            v_freeing.freed,
            v_freeing.task_ids,
            v_freeing.named_ids,
            v_freeing.are_held,
            v_reported.other_ids,
            v_most
        );
        v_room := v_most - cardinality(v_kept.step_ids);
        if not v_kept.leaves_some and v_room > 0 then
            v_taken := _take_steps(v_runner.queues, v_room);
        end if;
        v_done := _report_outcomes(
            v_outcomes, v_reported.step_ids, v_runner.runner_id, v_kept.step_ids, v_taken
        );
        lost := v_done.lost;
        if v_reported.other_ids is not null then
            v_came_due := _refresh_queue(v_most);
        end if;
        v_step_ids := _claim(v_runner, v_most, true, v_done.started, v_kept.leaves_some);
        v_claiming := set_config('pgtasker.claiming', '', true);
    elsif v_most > 0 then
        v_came_due := _refresh_queue(v_most);
        v_step_ids := _claim(v_runner, v_most, false, '{}', true);
    end if;
    claimed := _claimed_steps(v_step_ids);
end;
$$;

comment on function advance_json(bigint, jsonb, int) is
    'Report outcomes and claim the next steps in one call, answered as JSON text.';
