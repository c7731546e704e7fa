-- _set_queue_paused: the row of a queue and its log; steps stay where they are.
--
-- Locks the row of the queue.

create function _set_queue_paused(queue text, paused boolean, reason text, actor text)
returns void
language plpgsql
volatile
set search_path from current
as $$
declare
    v_queue queues;
begin
    perform _require('queue', nullif(_set_queue_paused.queue, '') is not null);
    insert into queues (queue, paused)
    values (_set_queue_paused.queue, false)
    on conflict on constraint queues_pkey do nothing;
    select known.*
    into v_queue
    from queues known
    where known.queue = _set_queue_paused.queue
    for update;
    if v_queue.paused = _set_queue_paused.paused then
        perform _refuse(
            format(
                'cannot %s queue %s: it is %spaused',
                case when _set_queue_paused.paused then 'pause' else 'resume' end,
                _set_queue_paused.queue,
                case when v_queue.paused then '' else 'not ' end
            ),
            'list_queues shows which queues are paused.',
            'Nothing is to be done, or the name of the queue is another.',
            'object_not_in_prerequisite_state'
        );
    end if;
    update queue_transitions log
    set most_recent = false
    where log.queue = v_queue.queue and log.sort_key = v_queue.transition_count;
    insert into queue_transitions (queue, sort_key, to_state, actor, reason)
    values (
        v_queue.queue,
        v_queue.transition_count + 1,
        case when _set_queue_paused.paused then 'paused' else 'active' end,
        coalesce(_set_queue_paused.actor, session_user),
        _set_queue_paused.reason
    );
    update queues known
    set paused = _set_queue_paused.paused, transition_count = v_queue.transition_count + 1
    where known.queue = v_queue.queue;
end;
$$;

comment on function _set_queue_paused(text, boolean, text, text) is
    'Pause or resume a queue, with a line in its log.';
