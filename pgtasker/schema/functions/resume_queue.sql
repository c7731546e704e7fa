-- resume_queue: runners claim from the queue again, and a sleeping one is woken.

create function resume_queue(queue text, reason text default null, actor text default null)
returns void
language plpgsql
volatile
set search_path from current
as $$
begin
    perform _set_queue_paused(resume_queue.queue, false, resume_queue.reason, resume_queue.actor);
    perform _wake(array[resume_queue.queue], clock());
end;
$$;

comment on function resume_queue(text, text, text) is
    'Resume a paused queue.';
