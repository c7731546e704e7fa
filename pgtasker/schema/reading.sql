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
