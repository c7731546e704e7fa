"""What must be true of an install whatever happened to it: the checker that every fault ends with.

Responsible for deriving each promise anew from the log, and holding it against what the public
views and functions say. It reads nothing else: no counter, no queue row, no claim of the engine's
own, so it is right where the engine is wrong about itself. `check_consistency()` is asked as well.
All questions see one snapshot, and each is one statement over whole sets: it may be asked while
work goes on, and of a hundred thousand rows. Injecting faults is left to tests/chaos.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from .promises import PROMISES

MOST = 5  # violations of each promise that are told


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where a promise is broken."""

    promise: str
    task_id: int | None
    workflow_step_id: int | None
    details: str


def violations(
    conn: psycopg.Connection[Any],
    schema: str = "pgtasker",
    *,
    started: Iterable[int] = (),
    gone: Iterable[str] | None = (),
    failures: Iterable[str] = (),
    settled: bool = False,
    without: Collection[str] = (),
    often: bool = False,
) -> list[Violation]:
    """Every broken promise, at most `MOST` of each.

    `started` are the tasks whose start somebody was told of; `gone` the names of runners whose
    process died or stood still for longer than its lease (None: whoever); `failures` the types of
    errors that handlers were made to raise (none: whatever). When `settled`, no task may be left
    unfinished. `without` names promises that are not asked about. Asked `often` in a session, the
    questions are planned only once.
    """
    asked = {
        "started": list(started),
        "gone": None if gone is None else list(gone),
        "failures": list(failures),
        "settled": settled,
        "most": MOST,
    }
    found: list[Violation] = []
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("set transaction isolation level repeatable read, read only")
        cursor.execute(
            sql.SQL("set local search_path = {}, pg_temp").format(sql.Identifier(schema))
        )
        cursor.execute("set local work_mem = '64MB'")
        cursor.execute("set local statement_timeout = 0")
        if often:
            cursor.execute("set local plan_cache_mode = force_generic_plan")
            # Planned while the tables are empty, a loop in a loop would be for ever.
            cursor.execute("set local enable_nestloop = off")
        for promise, question in PROMISES.items():
            if promise in without:
                continue
            # Materialized: a plan for the first few rows would be a bad one for there being none.
            limited = f"""
                with broken (task_id, workflow_step_id, details) as materialized ({question})
                table broken limit %(most)s
            """
            for row in cursor.execute(limited.encode(), asked, prepare=often or None):
                found.append(Violation(promise, *row))
    return found


def assert_kept(conn: psycopg.Connection[Any], schema: str = "pgtasker", **asked: Any) -> None:
    """Every promise is kept; what is asked is as for `violations`."""
    found = violations(conn, schema, **asked)
    assert not found, "\n".join(map(str, found))
