-- Runners and what they hold. workflow_steps says who holds a step; claim_batches says where to
-- look for what a runner holds, without an index on the steps that every claim would maintain. A
-- row is written once, for all that began together, and goes some time after the last of it ended:
-- _held_claims tells the two apart. So no claim ever waits for another one of its batch.

create table runners (
    runner_id bigint generated always as identity,
    started_at timestamptz not null,
    last_heartbeat_at timestamptz not null,
    lease_expires_at timestamptz not null,
    waiting_until timestamptz,
    suspected_at timestamptz,
    ended_at timestamptz,
    incarnation timestamptz not null,
    lock_pid integer,
    lock_trusted boolean not null default true,
    end_reason text,
    name text not null,
    queues text[] not null,
    metadata jsonb not null,
    constraint runners_pkey primary key (runner_id),
    constraint an_ended_runner_has_a_reason check ((ended_at is null) = (end_reason is null)),
    constraint an_ended_runner_waits_for_nothing check (ended_at is null or waiting_until is null)
) with (fillfactor = 50);

comment on table runners is
    'Processes that claim and execute steps; one that has ended never comes back under its id.';
comment on column runners.waiting_until is
    'Set while the runner sleeps: wake it for steps that are due before this time.';
comment on column runners.incarnation is
    'Start time of the server that last heard from the runner: session locks count only there.';
comment on column runners.lock_pid is
    'The server process that holds the session lock of the runner; null: the lease alone decides.';

create sequence claim_id;

comment on sequence claim_id is
    'Source of claim ids: never reused, so that a stale claim is recognized.';

create table claim_batches (
    runner_id bigint not null,
    claim_id bigint not null,
    timeout_at timestamptz,
    step_ids bigint[] not null,
    claim_ids bigint[] not null,
    constraint claim_batches_pkey primary key (runner_id, claim_id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create index claim_batches_timeout on claim_batches (timeout_at) where timeout_at is not null;

comment on table claim_batches is
    'What each runner began together and may hold; what has ended since is in it for a while.';
comment on column claim_batches.claim_id is
    'The first of its claim_ids, which names it.';
comment on column claim_batches.timeout_at is
    'When to look for attempts that are past their timeout and a margin; null: none has one.';
comment on column claim_batches.step_ids is
    'The steps, in the order of claim_ids.';

create table claim_extensions (
    claim_id bigint not null,
    workflow_step_id bigint not null,
    timeout_at timestamptz,
    progress jsonb,
    constraint claim_extensions_pkey primary key (claim_id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create index claim_extensions_timeout on claim_extensions (timeout_at)
    where timeout_at is not null;

comment on table claim_extensions is
    'What long attempts said of themselves, see extend_step; gone with their batch.';
comment on column claim_extensions.timeout_at is
    'When the attempt is failed for its runner, margin included; null: as the step says.';

create type claimed_step as (
    workflow_step_id bigint,
    claim_id bigint,
    task_id bigint,
    namespace text,
    workflow_name text,
    version text,
    step_name text,
    handler text,
    attempt integer,
    retry_limit integer,
    context jsonb,
    inputs jsonb,
    dependency_results jsonb,
    timeout double precision,
    tags text[],
    priority integer
);

comment on type claimed_step is
    'All that a runner needs to execute one attempt of a step; timeout in seconds.';
