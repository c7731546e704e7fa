-- pause_queue: runners claim nothing more from the queue; what runs may finish.

create function pause_queue(queue text, reason text default null, actor text default null)
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _set_queue_paused(pause_queue.queue, true, pause_queue.reason, pause_queue.actor);
end;
$$;

comment on function pause_queue(text, text, text) is
    'Pause a queue: its steps wait until it is resumed.';
