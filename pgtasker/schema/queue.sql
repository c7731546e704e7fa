-- The queue: what waits for a runner or for a time, and nothing else, so that it stays small.

create table queues (
    queue text not null,
    paused boolean not null,
    transition_count integer not null default 0,
    constraint queues_pkey primary key (queue)
);

comment on table queues is
    'Queues that were ever paused; a queue exists by being named in a step.';

create table queue_transitions (
    queue text not null,
    sort_key integer not null,
    most_recent boolean not null default true,
    to_state text not null,
    created_at timestamptz not null default clock(),
    actor text,
    reason text,
    constraint queue_transitions_pkey primary key (queue, sort_key),
    constraint queue_state_is_known check (to_state in ('active', 'paused'))
);

comment on table queue_transitions is
    'The log of queues: who paused or resumed which, and why.';

create sequence step_queue_position;

comment on sequence step_queue_position is
    'Order of arrival in the queue: within a priority the lowest position is claimed first.';

create table step_queue (
    workflow_step_id bigint not null,
    position bigint not null default nextval('step_queue_position'),
    enqueued_at timestamptz not null,
    due_at timestamptz,
    priority integer not null,
    is_retry boolean not null default false,
    queue text not null,
    constraint step_queue_pkey primary key (workflow_step_id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create index step_queue_ready on step_queue (queue, priority desc, position) where due_at is null;
create index step_queue_due on step_queue (due_at) where due_at is not null;

comment on table step_queue is
    'Steps that wait for a runner (due_at is null) or for a time.';
comment on column step_queue.is_retry is
    'The step failed and waits for its backoff: looking need not look the step up.';

-- Claims start here and not at the dead end of the index, which an old transaction keeps long.

create table queue_heads (
    queue text not null,
    priority integer not null,
    first_position bigint not null,
    seen_at timestamptz not null,
    constraint queue_heads_pkey primary key (queue, priority)
) with (fillfactor = 50);

comment on table queue_heads is
    'Where claims of each queue and priority start to look; moved forward once a second.';
