"""The demo from its first line to its last.

Responsible for what surrounds the workflow: the database, an install in it, a runner in a process
of its own, the report, the timings, and what to try next.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict
from rich.console import Console

from pgtasker import installer
from pgtasker.cli.output import error_line, indented, seconds, table, took
from pgtasker.client import Client
from pgtasker.demo import files, watch
from pgtasker.demo.workflow import explore
from pgtasker.dsn import connection_string, resolve_dsn, resolve_schema, shown
from pgtasker.errors import PgtaskerError
from pgtasker.rows import Task

MODULE = "pgtasker.demo.workflow"
SKIPPED_BY_DEFAULT = ("site-packages", "dist-packages", "__pycache__", "test", "tests")
FAREWELL = 10.0  # seconds for the runner to end


class DemoError(PgtaskerError):
    """The demo cannot go on; the message says why."""


def show(directory: str | None, dsn: str, schema: str | None, console: Console) -> None:
    """Run the demo over a directory, the standard library's source if none is given."""
    target, skip = _target(directory)
    address, schema = resolve_dsn(dsn), resolve_schema(schema)
    kind = "embedded, " if dsn == "embedded" else ""
    console.print(f"database  {kind}{shown(address)}", markup=False, soft_wrap=True)
    with psycopg.connect(connection_string(address), autocommit=True) as conn:
        with contextlib.suppress(installer.AlreadyInstalledError):
            installer.install(conn, schema)
            console.print(f"installed pgtasker in schema {schema!r}", markup=False)
        client = Client(conn, schema=schema)
        client.register(explore)
        with tempfile.TemporaryDirectory(prefix="pgtasker-demo-") as workspace:
            context = {"directory": str(target), "skip": skip, "workspace": workspace}
            task_id = client.start(explore, context, initiator="pgtasker demo")
            console.print(f"files     {files.printable(str(target))}", markup=False)
            console.print(f"task      {task_id}, a workflow of {len(explore.steps)} steps\n")
            with _runner(address, schema, Path(workspace) / "runner.log") as check:
                try:
                    watch.watch(client, task_id, console, check)
                except BaseException:
                    with contextlib.suppress(psycopg.Error, PgtaskerError):
                        client.cancel_task(task_id, reason="the demo was interrupted")
                    raise
        task = client.get_task(task_id)
        _require_complete(task)
        _heading(console, "Report")
        console.print(task.results["report"]["text"], markup=False)
        _heading(console, "Timings")
        _print_timings(client, task, console)
        _heading(console, "Try next")
        for line in _next_commands(task_id, dsn, schema):
            console.print(line, markup=False, soft_wrap=True)


def _target(directory: str | None) -> tuple[Path, tuple[str, ...]]:
    target = Path(directory or sysconfig.get_path("stdlib")).expanduser().absolute()
    if not target.exists():
        raise DemoError(f"there is no directory {directory!r}: give one that has files in it")
    if not target.is_dir():
        raise DemoError(f"{directory!r} is no directory: give one that has files in it")
    if not os.access(target, os.R_OK | os.X_OK):
        raise DemoError(f"directory {directory!r} cannot be read: give one that you may read")
    skip = SKIPPED_BY_DEFAULT if directory is None else ()
    if not files.walk(target, skip, limit=1):
        raise DemoError(f"directory {directory!r} has no files in it: give one that has some")
    return target, skip


@contextlib.contextmanager
def _runner(dsn: str, schema: str, log: Path) -> Iterator[watch.Check]:
    """A runner in a process of its own, as in production; what it says goes to the log."""
    command = [sys.executable, "-m", "pgtasker", "run", MODULE, "--name", "demo"]
    environment = {**os.environ, "PGTASKER_DSN": dsn, "PGTASKER_SCHEMA": schema}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)

    def check() -> None:
        if process.poll() is not None:
            said = log.read_text(errors="replace").strip().splitlines()
            reason = said[-1] if said else f"exit status {process.returncode}"
            raise DemoError(f"the runner has ended: {reason.removeprefix('pgtasker: ')}")

    try:
        yield check
    finally:
        process.terminate()
        try:
            process.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _heading(console: Console, text: str) -> None:
    console.print()
    if console.is_terminal:
        console.rule(text, align="left", style="dim")
    else:
        console.print(f"{text}\n")


def _require_complete(task: Task) -> None:
    if task.state != "complete":
        failures = "; ".join(
            f"{step}: {error_line(error)}" for step, error in (task.error or {}).items()
        )
        raise DemoError(f"task {task.task_id} is {task.state}" + (failures and f" ({failures})"))


def _print_timings(client: Client, task: Task, console: Console) -> None:
    steps = client.get_task_steps(task.task_id)
    rows = [
        (name, str(step.attempts), took(step.started_at, step.finished_at))
        for name, step in zip(indented(steps), steps, strict=True)
    ]
    console.print(table(("step", "#attempts", "#took"), rows))
    assert task.finished_at is not None
    busy = sum(
        (step.finished_at - step.started_at).total_seconds()
        for step in steps
        if step.started_at and step.finished_at
    )
    wall = (task.finished_at - task.created_at).total_seconds()
    console.print(f"\n{seconds(wall)} in all, {seconds(busy)} of work in the last attempts")


def _next_commands(task_id: int, dsn: str, schema: str) -> list[str]:
    """Three commands that work as they stand; a password is never printed."""
    program = _program()
    options = "" if schema == "pgtasker" else f" --schema {shlex.quote(schema)}"
    lines = []
    if conninfo_to_dict("" if dsn == "embedded" else dsn).get("password"):
        lines.append("export PGTASKER_DSN=...   # the DSN that you gave, with its password")
    else:
        options = f" --dsn {shlex.quote(dsn)}{options}"
    lines += [
        f"{program}{options} show {task_id}",
        f"{program}{options} why {task_id}/find_duplicates",
    ]
    if dsn == "embedded":
        history = f"select created_at, name, from_state, to_state from get_task_history({task_id})"
        schema_option = options.removeprefix(" --dsn embedded")
        lines.append(f"{program}{schema_option} server psql -c '{history}'")
    else:
        lines.append(f"{program}{options} list")
    return lines


def _program() -> str:
    """How to call this very pgtasker from the shell it was called from."""
    called = Path(sys.argv[0])
    if called.name != "pgtasker":
        return f"{shlex.quote(sys.executable)} -m pgtasker"
    found = shutil.which("pgtasker")
    if found and called.exists() and Path(found).samefile(called):
        return "pgtasker"
    return shlex.quote(str(called))
