"""Packages of later versions, made up from this one: something for upgrades to do.

Each has one more migration than the one before: columns of the tables that every call reads and
writes, and a table; a function that has gone, one that is new, and one with another parameter.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from psycopg.conninfo import conninfo_to_dict, make_conninfo

import pgtasker
from pgtasker import installer, schema_files, upgrader

from .servers import UnavailableError

SCHEMA = Path(pgtasker.__file__).parent / "schema"

# Column by column: where the file of the table has it, and where a migration adds it.
COLUMNS = (
    ("tasks", "context jsonb not null", "extra_{} bigint not null default 7"),
    ("workflow_step_transitions", "metadata jsonb", "extra_{} text"),
)
NOTES = """\

create table notes_{number} (
    note_id bigint generated always as identity,
    task_id bigint not null,
    body text not null,
    constraint notes_{number}_pkey primary key (note_id)
) with (fillfactor = 80);

create index notes_{number}_task on notes_{number} (task_id);

comment on table notes_{number} is 'What people wrote about tasks.';
"""
LATEST = """\
create function _latest_{number}() returns setof notes_{number}
language sql stable begin atomic
    select notes.* from notes_{number} notes where notes.task_id is not null;
end;

comment on function _latest_{number}() is 'What was written last.';
"""


def version_of(number: int) -> str:
    """The version of the package with so many migrations."""
    return f"0.1.{number}" if number else schema_files.SCHEMA_VERSION


def write(directory: Path, number: int) -> Path:
    """Write the files of the schema of the package with so many migrations; where they are."""
    root = directory / f"schema-{number}"
    shutil.copytree(SCHEMA, root)
    migrations = root / "migrations"
    migrations.mkdir(exist_ok=True)
    for each in range(1, number + 1):
        changes = NOTES.format(number=each)
        for table, last, added in COLUMNS:
            column = added.format(each)
            changes += f"alter table {table} add column {column};\n"
            last = added.format(each - 1) if each > 1 else last
            pattern = rf"(create table {table} \(.*?\n    {re.escape(last)},)"
            _edit(root / "execution.sql", pattern, rf"\g<1>\n    {column},", re.DOTALL)
        (migrations / f"{9000 + each}_notes_{each}.sql").write_text(changes.lstrip())
        with (root / "execution.sql").open("a") as file:
            file.write(NOTES.format(number=each))
    if number:
        name = f"_latest_{number}"
        (root / "functions" / f"{name}.sql").write_text(LATEST.format(number=number))
        _edit(root / "install.sql", r"(?=\\ir grants\.sql)", f"\\\\ir functions/{name}.sql\n")
        with (root / "grants.sql").open("a") as file:
            file.write(f"\nrevoke execute on function {name} from public;\n")
        extend = root / "functions" / "extend_step.sql"
        more = "".join(f",\n    note_{each} text default null" for each in range(1, number + 1))
        _edit(extend, r"(?<=progress jsonb default null)", more)
        _edit(extend, r"(?<=interval, jsonb)", ", text" * number)
    return root


def _edit(file: Path, pattern: str, text: str, flags: int = 0) -> None:
    edited, times = re.subn(pattern, text, file.read_text(), count=1, flags=flags)
    assert times == 1, (file, pattern)
    file.write_text(edited)


@contextmanager
def package(files: Path, version: str, compatible_since: str = "0.1.0") -> Iterator[None]:
    """In here this package is the one of that version, with these files."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(schema_files, "source", lambda: files))
        for module in (schema_files, installer, upgrader):
            stack.enter_context(patch.object(module, "SCHEMA_VERSION", version))
        for module in (schema_files, upgrader):
            stack.enter_context(patch.object(module, "COMPATIBLE_SINCE", compatible_since))
        yield


def dump(facts: dict[str, str], dsn: str, schema: str = "pgtasker") -> str:
    """What pg_dump writes of a schema: every object with its comment, grants and options."""
    if "bindir" not in facts:
        raise UnavailableError("the programs of this server are not here")
    command = [Path(facts["bindir"]) / "pg_dump", "--schema-only", f'--schema="{schema}"']
    where = make_conninfo(facts["dsn"], dbname=conninfo_to_dict(dsn)["dbname"])
    done = subprocess.run([*command, where], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # \restrict and \unrestrict bear a word that is drawn by lot.
    lines = [line for line in done.stdout.splitlines() if not line.startswith("\\")]
    return "\n".join(lines)
