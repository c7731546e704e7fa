-- Retention: how far the look at finished tasks has come, of which the old ones go.

create table purge_progress (
    singleton boolean not null default true,
    last_task_id bigint not null default 0,
    windows integer not null default 0,
    steps_at_once integer not null default 200,
    next_at timestamptz not null default '-infinity',
    constraint purge_progress_pkey primary key (singleton),
    constraint there_is_one_row check (singleton)
);

comment on table purge_progress is
    'How far the look for old finished tasks has come; whoever holds the row goes on.';
comment on column purge_progress.windows is
    'How many stretches of tasks this look has passed in which little was old enough.';
comment on column purge_progress.next_at is
    'When maintain goes on with it.';

insert into purge_progress default values;
