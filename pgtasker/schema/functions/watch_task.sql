-- watch_task: asks for a notification on a channel when a task comes to rest; false if it rests.
--
-- An accelerator: a transition that looked before this committed says nothing, so look again after
-- the commit, and now and then. Locks nothing but a watch of its own, and waits for nobody.

create function watch_task(task_id bigint, channel text, patience interval default '1 minute')
returns boolean
language plpgsql
volatile
set search_path from current
set enable_seqscan = off
as $$
declare
    v_ends_at timestamptz;
begin
    perform _require_task(watch_task.task_id);
    perform _require('channel', coalesce(watch_task.channel <> '', false));
    perform _require('patience', watch_task.patience is not null);
    perform _refuse(
        format('channel %s is longer than 63 bytes', quote_literal(left(watch_task.channel, 63))),
        format('It has %s bytes.', octet_length(watch_task.channel)),
        'Pass a shorter name, and LISTEN on it.'
    )
    where octet_length(watch_task.channel) > 63;
    perform _refuse(
        format('patience must be more than 0 and at most 1 day, not %s', watch_task.patience),
        'It is how long the watch lasts.',
        'Pass an interval in that range, and call again before it is over to go on.'
    )
    where watch_task.patience not between interval '1 us' and interval '1 day';
    if (
        select _task_is_at_rest(task.state) from tasks task where task.task_id = watch_task.task_id
    ) then
        return false;
    end if;
    v_ends_at := clock() + watch_task.patience;

    update task_watches watch
    set ends_at = greatest(watch.ends_at, v_ends_at)
    where watch.task_id = watch_task.task_id
        and watch.watch_id = any (
            array(
                select mine.watch_id
                from task_watches mine
                where mine.task_id = watch_task.task_id and mine.channel = watch_task.channel
                for update skip locked
            )
        );
    if not found then
        insert into task_watches (task_id, ends_at, channel)
        values (watch_task.task_id, v_ends_at, watch_task.channel);
    end if;
    return true;
end;
$$;

comment on function watch_task(bigint, text, interval) is
    'Notify a channel, with the task_id, when a task comes to rest; false if it already has.';
