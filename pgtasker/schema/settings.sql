-- Settings and housekeeping: what an operator may tune, and what the engine notes for itself.

create table settings (
    name text not null,
    value text not null,
    kind text not null default 'fixed',
    description text not null default 'Written by the installer.',
    constraint settings_pkey primary key (name),
    constraint kind_is_known check (kind in ('fixed', 'interval', 'integer', 'age', 'names'))
);

comment on table settings is
    'What this install is and how it is tuned; change a value with set_setting.';

insert into settings (name, value, kind, description)
values
    ('install_id', (random() * 2147483647)::int::text, 'fixed',
     'Distinguishes this install from others in the same database.'),
    ('payload_limit', '1048576', 'integer',
     'Largest context, result or error, in bytes of JSON text.'),
    ('lease', '15 s', 'interval',
     'How long a runner may be silent before its steps go to others.'),
    ('takeover_delay', '1 s', 'interval',
     'How long a runner without its session lock stays a suspect before its steps go to others.'),
    ('poll_interval', '5 s', 'interval',
     'How long a waiting runner sleeps at most when no wake-up reaches it.'),
    ('timeout_margin', '2 s', 'interval',
     'How long after a step''s timeout the database ends an attempt that its runner did not end.'),
    ('runner_retention', '1 day', 'interval',
     'How long a runner that has ended stays listed.'),
    ('redact_keys', '', 'names',
     'Names, with commas between them, whose values commands for people do not show.'),
    ('recent_days', '30', 'integer',
     'How many days the recent tier of views looks back.'),
    ('retention', 'forever', 'age',
     'How long finished tasks are kept, unless their workflow says it; or: forever.'),
    ('rollup_days', '400', 'integer',
     'How many days the counts behind the analytics are kept.');

-- One row that the engine keeps between calls; whoever holds its row lock does the work of this
-- second.

create table housekeeping (
    singleton boolean not null default true,
    looked_at timestamptz not null default '-infinity',
    search_at timestamptz not null default '-infinity',
    position_seen bigint not null default 0,
    due_from timestamptz not null default '-infinity',
    probed_at timestamptz not null default '-infinity',
    watches_ended_at timestamptz not null default '-infinity',
    incarnation timestamptz,
    incarnation_at timestamptz,
    constraint housekeeping_pkey primary key (singleton),
    constraint there_is_one_row check (singleton)
);

comment on table housekeeping is
    'What the engine remembers between calls: its last look at the queues and at the runners.';

insert into housekeeping default values;
