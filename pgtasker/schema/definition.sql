-- Definition: workflows as they were registered. Steps of a revision never change: a task points at
-- the steps of the revision it was created from, so a later change of the workflow leaves it alone.

create table named_tasks (
    named_task_id bigint generated always as identity,
    family_id bigint not null,
    revision integer not null default 1,
    namespace text not null,
    name text not null,
    version text not null,
    version_sort_key text[] collate "C" not null,
    retention_seconds double precision,
    description text,
    context_schema jsonb,
    definition jsonb not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint named_tasks_pkey primary key (named_task_id),
    constraint version_is_registered_once unique (namespace, name, version),
    constraint family_is_a_workflow foreign key (family_id) references named_tasks (named_task_id)
);

create index named_tasks_family on named_tasks (family_id);

comment on table named_tasks is
    'Workflows: one row for each version of each workflow.';
comment on column named_tasks.family_id is
    'The first registered version of the same namespace and name: idempotency keys count per '
    'family.';
comment on column named_tasks.revision is
    'Grows when the version is registered with other content; new tasks use the newest revision.';

comment on column named_tasks.retention_seconds is
    'How long finished tasks of this version are kept; null: as the setting retention says.';

create table named_steps (
    named_step_id bigint generated always as identity,
    named_task_id bigint not null,
    revision integer not null,
    position integer not null,
    parent_count integer not null,
    dependency_level integer not null,
    is_leaf boolean not null,
    name text not null,
    handler text,
    queue text not null,
    priority integer not null,
    retryable boolean not null,
    skippable boolean not null,
    retry_limit integer not null,
    timeout_seconds double precision,
    backoff_base double precision not null,
    backoff_factor double precision not null,
    backoff_max double precision not null,
    backoff_jitter boolean not null,
    inputs jsonb not null,
    constraint named_steps_pkey primary key (named_step_id),
    constraint step_name_is_unique unique (named_task_id, revision, name),
    constraint step_belongs_to_a_workflow
        foreign key (named_task_id) references named_tasks (named_task_id)
);

comment on table named_steps is
    'Steps of each revision of a workflow; rows never change.';
comment on column named_steps.position is
    'Place in one topological order: parents come before their children.';
comment on column named_steps.dependency_level is
    'Edges on the longest path from a root: 0 for a root.';

create table named_step_edges (
    parent_named_step_id bigint not null,
    child_named_step_id bigint not null,
    constraint named_step_edges_pkey primary key (parent_named_step_id, child_named_step_id),
    constraint parent_is_a_step
        foreign key (parent_named_step_id) references named_steps (named_step_id),
    constraint child_is_a_step
        foreign key (child_named_step_id) references named_steps (named_step_id)
);

create index named_step_edges_child on named_step_edges (child_named_step_id);

comment on table named_step_edges is
    'Which step of a workflow waits for which.';
