-- _purge_due: retention, a turn at a time. Looks on through the tasks and removes what is kept no
-- longer, as many steps as take about 25 ms; then it is due again after twenty times as long, and
-- after the last task the later the more tasks were passed that stay.
--
-- Holds the row of purge_progress: others skip the turn, nobody waits.

create function _purge_due()
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_now timestamptz := clock();
    v_began timestamptz := clock_timestamp();
    v_progress purge_progress;
    v_task_ids bigint[];
    v_last_task_id bigint;
    v_seconds double precision;
begin
    select progress.*
    into v_progress
    from purge_progress progress
    where progress.next_at <= v_now or progress.next_at > v_now + interval '2 days'
    for update skip locked;
    if not found then
        return;
    end if;
    select found.task_ids, found.last_task_id
    into v_task_ids, v_last_task_id
    from _old_tasks(
        v_progress.last_task_id, null, v_progress.steps_at_once, v_progress.steps_at_once
    ) found;
    perform _purge(v_task_ids);
    v_seconds := extract(epoch from clock_timestamp() - v_began);
    if v_task_ids = '{}' and v_last_task_id is not null then
        v_progress.windows := v_progress.windows + 1;
    end if;
    update purge_progress
    set
        last_task_id = coalesce(v_last_task_id, 0),
        windows = case when v_last_task_id is not null then v_progress.windows else 0 end,
        steps_at_once = case
            when v_seconds > 0.04 then greatest(10, v_progress.steps_at_once / 2)
            when v_seconds < 0.015 and v_task_ids <> '{}'
                then least(5000, v_progress.steps_at_once * 3 / 2)
            else v_progress.steps_at_once
        end,
        next_at = v_now + case
            when v_last_task_id is not null then
                greatest(interval '250 ms', v_seconds * interval '20 seconds')
            else least(
                greatest(interval '1 minute', v_progress.windows * interval '5 seconds'),
                interval '1 day'
            )
        end;
end;
$$;

comment on function _purge_due() is
    'Remove some of the finished tasks that are kept no longer.';
