"""How one query does in one or two databases.

Responsible for running it in alternating pairs, for what is kept of each run, for whether that
meets a target, and for the plan of what does not. What is asked is left to views.py.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from bench import engine

EXPLAIN = b"explain (analyze, buffers, timing off, summary on, format json) "
PLAN = b"explain (analyze, buffers, timing off, costs off) "
FEWEST, MOST = 3, 51  # pairs
FEW = 1000  # rows; how fast a client reads more says nothing about the view


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, and how many milliseconds it may take.

    `targets` are for each of views.SIZES unfinished tasks. With the history it may take `besides`
    (None: what it takes without, and 10 % or 0.5 ms more). One that is `alone` is measured only
    with the history, beside the fewest unfinished tasks. `in_error` is the target for both where
    many tasks in error are there too (None: not measured).
    """

    name: str
    statement: str
    targets: tuple[float, ...] = ()
    besides: float | None = None
    alone: bool = False
    in_error: float | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """Where to ask, and what stands for the names in braces in a question."""

    conn: engine.Connection
    values: Mapping[str, int]

    def statement(self, query: Query) -> bytes:
        return query.statement.format(**self.values).encode()


@dataclass(slots=True)
class Side:
    """What one database gave: milliseconds as the server counts them (planning and execution), and
    from the question to the last row as the client does; rows, and pages of 8 kB that were read."""

    server: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)
    rows: int = 0
    pages: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.server)

    @property
    def client_median(self) -> float:
        return statistics.median(self.client)


@dataclass(slots=True)
class Figure:
    """One query, beside so many unfinished tasks and so many in error; `target` is without the
    history and `besides` with it, `plans` are of what missed it."""

    query: str
    active: int
    in_error: int
    target: float | None
    besides: float | None
    without: Side | None
    with_history: Side
    plans: dict[str, str] = field(default_factory=dict)

    @property
    def misses(self) -> list[str]:
        """The sides that took longer than they may, in words."""
        found = []
        without, with_history = self.without, self.with_history
        if without is not None and self.target is not None and without.median > self.target:
            found.append("without")
        if self.besides is not None:
            if with_history.median > self.besides:
                found.append("with")
        elif without is not None and self.target is not None:
            allowed = max(1.1 * without.median, without.median + 0.5)
            if with_history.median > allowed:
                found.append("with")
        return found


def compare(
    databases: Sequence[Database],
    query: Query,
    tasks: tuple[int, int],
    target: float | None,
    seconds: float,
) -> Figure:
    """Run a query in pairs, in the database without and the one with the history, for so long; the
    first pair does not count, and every second one begins with the other side."""
    sides = {number: Side() for number in range(int(query.alone), len(databases))}
    deadline = time.monotonic() + seconds
    for pair in range(MOST + 1):
        for number in sorted(sides, reverse=pair % 2 == 1):
            _take(databases[number], query, sides[number], counts=pair > 0)
        if pair >= FEWEST and time.monotonic() > deadline:
            break
    besides = target if tasks[1] else query.besides
    figure = Figure(query.name, *tasks, target, besides, sides.get(0), sides[1])
    for missed in figure.misses:
        figure.plans[missed] = _plan(databases[("without", "with").index(missed)], query)
    return figure


def _take(database: Database, query: Query, side: Side, *, counts: bool) -> None:
    conn, statement = database.conn, database.statement(query)
    row = conn.execute(EXPLAIN + statement).fetchone()
    assert row is not None
    [found] = row[0]
    side.rows = int(found["Plan"]["Actual Rows"])
    side.pages = int(found["Plan"]["Shared Hit Blocks"] + found["Plan"]["Shared Read Blocks"])
    seconds: list[float] = []
    if side.rows <= FEW and not query.alone:
        with engine.stopwatch(seconds):
            conn.execute(statement).fetchall()
    if counts:
        side.server.append(found["Planning Time"] + found["Execution Time"])
        side.client += [1000 * each for each in seconds]


def _plan(database: Database, query: Query) -> str:
    """The plan of a query; of a function, the plans of its statements where they can be had."""
    conn, statement = database.conn, database.statement(query)
    if "from get_" not in query.statement:
        return "\n".join(line for (line,) in conn.execute(PLAN + statement).fetchall())
    plans: list[str] = []

    def keep(notice: psycopg.errors.Diagnostic) -> None:
        plans.append(notice.message_primary or "")

    with contextlib.suppress(psycopg.errors.UndefinedFile):
        conn.execute("load 'auto_explain'")
    options = {"log_analyze": "on", "log_buffers": "on", "log_timing": "off", "log_level": "notice"}
    options |= {"log_nested_statements": "on", "log_min_duration": "0"}
    conn.add_notice_handler(keep)
    try:
        for name, setting in options.items():
            conn.execute(f"set auto_explain.{name} = '{setting}'".encode())
        plans.clear()
        conn.execute(statement)
    finally:
        conn.execute("set auto_explain.log_min_duration = -1")
        conn.remove_notice_handler(keep)
    return "\n\n".join(plans)
