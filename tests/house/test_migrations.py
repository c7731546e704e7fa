"""Rules for migrations: they run while others work, so none may stop them for long.

squawk knows what a statement locks and rewrites. What it does not know is asked of the parse tree.
"""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

import pglast
import pytest
from pglast import ast

from .source import SCHEMA

SQUAWK = Path(sysconfig.get_path("scripts")) / "squawk"
EXCLUDED = (
    "require-lock-timeout",  # the upgrade sets one
    "require-statement-timeout",
    "prefer-bigint-over-int",  # types are chosen by what they hold
    "prefer-bigint-over-smallint",
)
# A new column of a table with a million rows that is not null is filled by its default, which
# costs nothing; a new index on one takes longer than others can wait, and a transaction cannot
# build it concurrently.
FAULTS = [
    ("alter table tasks add column note text not null;", "adding-required-field"),
    ("create index tasks_note on tasks (note);", "require-concurrent-index-creation"),
    ("create index concurrently tasks_note on tasks (note);", "needs-no-transaction"),
    ("alter table tasks alter column priority type bigint;", "changing-column-type"),
    ("alter table tasks alter column note set not null;", "adding-not-nullable-field"),
    ("alter table tasks add constraint c check (priority > 0);", "constraint-missing-not-valid"),
    ("alter table tasks add constraint u unique (note);", "disallowed-unique-constraint"),
    ("alter table tasks drop column note;", "ban-drop-column"),
    ("drop table tasks;", "ban-drop-table"),
    ("alter table tasks rename column note to remark;", "renaming-column"),
    ("alter table tasks rename to jobs;", "renaming-table"),
    ("alter table tasks add column drawn float default random();", "adding-field-with-default"),
    ("update tasks set note = '';", "writes-a-whole-table"),
    ("delete from tasks using settings;", "writes-a-whole-table"),
    ("truncate tasks;", "writes-a-whole-table"),
    ("vacuum tasks;", "needs-no-transaction"),
    ("begin; create table a (n int); commit;", "needs-no-transaction"),
    ("create table pgtasker.a (n int);", "names-the-schema"),
    ("select set_config('search_path', 'x', true);", "changes-the-session"),
    ("set search_path = x;", "changes-the-session"),
]
SOUND = """\
-- A new table and what belongs to it, a new column that is filled by its default.
create table notes (
    note_id bigint generated always as identity,
    task_id bigint not null,
    body text not null,
    constraint notes_pkey primary key (note_id)
);
create index notes_task on notes (task_id);
comment on table notes is 'What people wrote about tasks.';
alter table tasks add column noted boolean not null default false;
alter table tasks add column noted_at timestamptz;
comment on column tasks.noted_at is 'When somebody last wrote.';
update settings set value = '2' where name = 'lease';
"""


def squawk(file: Path) -> set[str]:
    """The rules that a migration breaks, as squawk sees it."""
    if not SQUAWK.exists():
        pytest.skip("squawk is not installed: pip install squawk-cli")
    command = [SQUAWK, "--pg-version=15", "--assume-in-transaction", "--reporter=json"]
    excluded = f"--exclude={','.join(EXCLUDED)}"
    done = subprocess.run([*command, excluded, file], capture_output=True, text=True)
    return {broken["rule_name"] for broken in json.loads(done.stdout)}


def broken_rules(file: Path) -> set[str]:
    """The rules of our own that a migration breaks."""
    broken = set()
    for statement in pglast.parse_sql(file.read_text()):
        match statement.stmt:
            case ast.UpdateStmt(whereClause=None) | ast.DeleteStmt(whereClause=None):
                broken.add("writes-a-whole-table")
            case ast.TruncateStmt():
                broken.add("writes-a-whole-table")
            case ast.TransactionStmt() | ast.VacuumStmt() | ast.IndexStmt(concurrent=True):
                broken.add("needs-no-transaction")
            case ast.VariableSetStmt() | ast.SelectStmt():
                broken.add("changes-the-session")
        if _qualified(statement.stmt):
            broken.add("names-the-schema")
    return broken


def _qualified(node: object) -> bool:
    """Whether a table is named with its schema, anywhere in a statement."""
    if isinstance(node, ast.RangeVar) and node.schemaname:
        return True
    if isinstance(node, tuple):
        return any(map(_qualified, node))
    return isinstance(node, ast.Node) and any(_qualified(getattr(node, part)) for part in node)


def test_migrations_keep_the_rules():
    """Each of them may be run while others work."""
    for file in sorted((SCHEMA / "migrations").glob("*.sql")):
        assert broken_rules(file) == set(), file.name
        assert squawk(file) == set(), file.name


@pytest.mark.parametrize(("text", "rule"), FAULTS, ids=[text for text, _ in FAULTS])
def test_a_migration_that_breaks_a_rule_is_found(tmp_path: Path, text: str, rule: str):
    """Each rule finds what breaks it."""
    file = tmp_path / "0001_fault.sql"
    file.write_text(f"{text}\n")
    assert rule in broken_rules(file) or rule in squawk(file)


def test_a_sound_migration_is_found_sound(tmp_path: Path):
    """What is usual breaks none."""
    file = tmp_path / "0001_notes.sql"
    file.write_text(SOUND)
    assert broken_rules(file) == set()
    assert squawk(file) == set()
