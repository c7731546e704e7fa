"""A history to measure on: tasks of the five shapes in every state, written in bulk.

Responsible for how many tasks of which kinds there are and when they were created; history.sql
writes them. It needs a superuser, because it turns the triggers off, and leaves an install in which
check_consistency() finds nothing. What is measured on it is left to others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from pgtasker.testing.shapes import shapes

Connection = psycopg.Connection[Any]

STATEMENTS = Path(__file__).with_suffix(".sql")
BATCH = 20_000  # tasks in one transaction
RUNNERS = 4

# Percent of the tasks. What has begun and is not over is ready, in progress or in backoff, each
# step of `spread` and `paused` for itself; `hurt` goes on beside a step that failed for good,
# `error` and `resolved` do not.
FINISHED = {"complete": 94, "cancelled": 3, "resolved": 3}
ACTIVE = {
    "ready": 22,
    "running": 22,
    "spread": 16,
    "backoff": 12,
    "error": 8,
    "hurt": 6,
    "paused": 6,
    "scheduled": 8,
}
IN_ERROR = {"error": 100}


@dataclass(frozen=True, slots=True)
class History:
    """How many tasks of what kind.

    Unfinished ones were created within the last day. Of the finished ones, `recent` are spread over
    the four weeks before, the others over the two months before these; tasks in `error` likewise.
    Without `counted` the rollups know nothing of them, and never will.
    """

    active: int = 0
    finished: int = 0
    recent: int = 0
    in_error: int = 0
    counted: bool = True


def fill(conn: Connection, history: History) -> None:
    """Write such a history into an install, in addition to what is there.

    The connection is an autocommit one of a superuser, with the install on its search_path. The
    same numbers in an empty install give the same tasks; their times count back from clock().
    """
    for workflow in _workflows():
        conn.execute("select register_workflow(definition => %s)", [Jsonb(workflow)])
    conn.execute(STATEMENTS.read_text().encode())
    conn.execute("select setseed(0.5)")
    runner_ids = _runners(conn)
    recent = min(history.recent, history.finished)
    for tasks, kinds, first, last in (
        (history.in_error, IN_ERROR, "90 days", "31 days"),
        (history.finished - recent, FINISHED, "90 days", "31 days"),
        (recent, FINISHED, "29 days", "1 day"),
        (history.active, ACTIVE, "1 day", "10 minutes"),
    ):
        for start in range(0, tasks, BATCH):
            number = min(BATCH, tasks - start)
            span = (first, last, start / tasks, (start + number) / tasks)
            _write_batch(conn, number, kinds, span, runner_ids)
        if history.counted:
            _count(conn)
        else:
            conn.execute("update rollup_progress set next_xact_id = txid_current()")
    conn.execute("discard temp")
    conn.execute("analyze")


def _count(conn: Connection) -> None:
    """Let the rollups catch up with what was written."""
    conn.execute("update rollup_progress set rolled_up_at = '-infinity'")
    while not conn.execute(
        "select 1 from rollup_progress where rolled_up_at > '-infinity'"
    ).fetchone():
        conn.execute("select maintain()")


def _workflows() -> list[dict[str, Any]]:
    """The five shapes, in two queues."""
    queues = {"tree": "reports", "mixed": "reports"}
    documents = [shape.definition() for shape in shapes()]
    for document in documents:
        for step in document["steps"]:
            step["queue"] = queues.get(document["name"], "default")
    return documents


def _runners(conn: Connection) -> list[int]:
    """Runners that live for a year without being heard; those of an earlier call serve again."""
    query = "select array_agg(runner_id) from runners where name = 'history'"
    row = conn.execute(query).fetchone()
    if row is None or row[0] is None:
        conn.execute(
            """
            insert into runners (
                name, queues, metadata, started_at, last_heartbeat_at, lease_expires_at, incarnation
            )
            select 'history', array['default', 'reports'], '{"listens": false}', clock(), clock(),
                clock() + interval '1 year', pg_postmaster_start_time()
            from generate_series(1, %s)
            """,
            [RUNNERS],
        )
        row = conn.execute(query).fetchone()
    assert row is not None
    return list(row[0])


def _write_batch(
    conn: Connection,
    tasks: int,
    kinds: Mapping[str, int],
    span: tuple[str, str, float, float],
    runner_ids: list[int],
) -> None:
    """One transaction: so many tasks, created within a part of a span before now."""
    first, last, begin, end = span
    each = [kind for kind, percent in kinds.items() for _ in range(percent)]
    moment = "clock() - %s::interval + (%s::interval - %s::interval) * %s"
    with conn.transaction():
        conn.execute("set local session_replication_role = replica")
        conn.execute("set local jit = off")
        conn.execute("truncate batch, new_task, new_step")
        conn.execute(
            """
            insert into batch
            select
                pg_temp.reserve(pg_get_serial_sequence('tasks', 'task_id'), %(tasks)s),
                pg_temp.reserve(
                    pg_get_serial_sequence('workflow_steps', 'workflow_step_id'),
                    (%(tasks)s / 5 + 1) * steps.number
                ),
                pg_temp.reserve('claim_id', (%(tasks)s / 5 + 1) * steps.number * 3),
                %(runner_ids)s
            from (select count(*) as number from template) steps
            """,
            {"tasks": tasks, "runner_ids": runner_ids},
        )
        conn.execute(
            f"select pg_temp.lay_out_tasks(%s, %s, {moment}, {moment})".encode(),
            [tasks, each, first, first, last, begin, first, first, last, end],
        )
        conn.execute("analyze new_task")
        conn.execute("select pg_temp.lay_out_steps()")
        conn.execute("analyze new_step")
        for function in ("write_tasks", "write_steps", "write_step_log"):
            conn.execute(f"select pg_temp.{function}()".encode())
