-- Runners and what they hold. workflow_steps says who holds a step; step_claims says what a runner
-- holds, and until when, without an index on the steps that every claim would have to maintain.

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

create table step_claims (
    runner_id bigint not null,
    claim_id bigint not null,
    workflow_step_id bigint not null,
    timeout_at timestamptz,
    progress jsonb,
    constraint step_claims_pkey primary key (runner_id, claim_id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create index step_claims_timeout on step_claims (timeout_at) where timeout_at is not null;

comment on table step_claims is
    'What each runner holds now, and when the database ends it.';
comment on column step_claims.timeout_at is
    'When the attempt is failed for its runner: its timeout and a margin; null: never.';

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
