-- Watches: who waits for the end of which task. Rows come and go with those who wait; nobody ever
-- waits for a lock here, so there is no uniqueness to check: the same watch may be there twice.

create table task_watches (
    task_id bigint not null,
    watch_id bigint generated always as identity,
    ends_at timestamptz not null,
    channel text not null,
    constraint task_watches_pkey primary key (task_id, watch_id),
    constraint channel_fits_notify check (octet_length(channel) between 1 and 63)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

comment on table task_watches is
    'Channels that are notified when a task comes to rest.';
comment on column task_watches.ends_at is
    'When the watch is over, whatever became of the task.';
