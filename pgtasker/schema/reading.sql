-- Types of rows for those who look: a function cannot return a column named like its parameter.

create type task_detail as (
    task_id bigint,
    namespace text,
    name text,
    version text,
    state text,
    complete boolean,
    paused boolean,
    priority integer,
    context jsonb,
    results jsonb,
    error jsonb,
    tags text[],
    idempotency_key text,
    initiator text,
    source_system text,
    reason text,
    run_at timestamptz,
    created_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    total_steps integer,
    processed_steps integer,
    failed_steps integer
);

create type step_statistics as (
    namespace text,
    workflow_name text,
    step_name text,
    attempts bigint,
    errors bigint,
    error_rate double precision,
    run_seconds_mean double precision,
    run_seconds_p50 double precision,
    run_seconds_p95 double precision,
    run_seconds_p99 double precision,
    wait_seconds_mean double precision,
    wait_seconds_p50 double precision,
    wait_seconds_p95 double precision,
    wait_seconds_p99 double precision
);

comment on type step_statistics is
    'Attempts of a step by name: how many, how many failed, how long they ran and waited.';

create type task_statistics as (
    namespace text,
    name text,
    created bigint,
    completed bigint,
    failed bigint,
    cancelled bigint,
    resolved bigint,
    total_seconds_mean double precision,
    total_seconds_p50 double precision,
    total_seconds_p95 double precision,
    total_seconds_p99 double precision
);

comment on type task_statistics is
    'Tasks of a workflow by name: how many, how they ended, how long complete ones took.';

create type slow_step as (
    workflow_step_id bigint,
    task_id bigint,
    namespace text,
    workflow_name text,
    version text,
    step_name text,
    attempt integer,
    state text,
    started_at timestamptz,
    finished_at timestamptz,
    run_seconds double precision,
    wait_seconds double precision
);

comment on type slow_step is
    'One attempt of a step that ran long, and how long the step had waited before.';

create type slow_task as (
    task_id bigint,
    namespace text,
    name text,
    version text,
    state text,
    created_at timestamptz,
    finished_at timestamptz,
    total_seconds double precision
);

comment on type slow_task is
    'One task that took long, until it was complete or failed.';

create type step_dependency as (
    workflow_step_id bigint,
    name text,
    state text,
    processed boolean,
    distance integer,
    results jsonb
);

comment on type step_dependency is
    'A step that another one waits for, directly or not; distance counts the edges between them.';

comment on type task_detail is
    'Everything about one task: results holds those of its leaf steps, error those of failed '
    'steps.';
