-- Rollups: what happened, counted by the hour and after days by the day, so that questions about
-- months read no log. The log is counted once, by the transactions that wrote it: every row of a
-- transaction that all later snapshots see; what is not counted yet is read by whoever asks.

create table rollups (
    bucket_at timestamptz not null,
    subject text not null,
    named_id bigint not null,
    fact text not null,
    bin smallint not null,
    occurrences bigint not null,
    seconds double precision not null,
    constraint rollups_pkey primary key (bucket_at, subject, named_id, fact, bin),
    constraint subject_is_known check (subject in ('task', 'step'))
) with (fillfactor = 70);

comment on table rollups is
    'What happened to tasks and attempts of steps, counted by the hour, then by the day.';
comment on column rollups.bucket_at is
    'The start of the hour, or of the day, in which it happened; -infinity: at any time.';
comment on column rollups.bin is
    'How long it took, on a scale whose marks are 10 % apart; 0 where that does not matter.';
comment on column rollups.seconds is
    'The sum of how long it took.';

create table slowest (
    bucket_at timestamptz not null,
    subject text not null,
    named_id bigint not null,
    entity_id bigint not null,
    sort_key integer not null,
    seconds double precision not null,
    constraint slowest_pkey primary key (bucket_at, subject, named_id, entity_id, sort_key),
    constraint subject_is_known check (subject in ('task', 'step'))
);

comment on table slowest is
    'The slowest attempts of each step and tasks of each workflow, of each hour, then of each day.';

create table rollup_progress (
    singleton boolean not null default true,
    next_xact_id bigint not null default txid_current(),
    begins_at timestamptz not null default '-infinity',
    days_until timestamptz not null default '-infinity',
    xacts_at_once bigint not null default 10000,
    rolled_up_at timestamptz not null default '-infinity',
    constraint rollup_progress_pkey primary key (singleton),
    constraint there_is_one_row check (singleton)
);

comment on table rollup_progress is
    'Up to which transaction the log is counted; whoever holds the row counts on.';
comment on column rollup_progress.days_until is
    'Before this the buckets are days, from here on hours.';
comment on column rollup_progress.begins_at is
    'What is older was counted under the transaction ids of another server.';

insert into rollup_progress default values;
