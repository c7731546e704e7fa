-- _claim: takes steps from the queue and starts an attempt of each; returns the steps.

create function _claim(runner runners, max_steps integer, has_reported boolean)
returns bigint[]
language plpgsql
volatile
set search_path from current
as $$
declare
    v_step_ids bigint[];
begin
    if max_steps = 0 then
        return '{}';
    end if;
    perform _look_at_queues();
    perform _promote_due(greatest(100, max_steps));
    v_step_ids := _take_steps(runner.queues, max_steps);
    if v_step_ids <> '{}' then
        v_step_ids := _start_attempts(runner.runner_id, v_step_ids);
    end if;
    perform _mark_waiting(
        runner,
        cardinality(v_step_ids) < max_steps,
        v_step_ids = '{}' and not has_reported
    );
    if cardinality(v_step_ids) = max_steps then
        perform _wake(runner.queues, clock());
    end if;
    return v_step_ids;
end;
$$;

comment on function _claim(runners, integer, boolean) is
    'Claim up to so many steps for a live runner.';
