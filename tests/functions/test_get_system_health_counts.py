"""get_system_health_counts: the whole install in one row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ..support.databases import Database
from ..support.session import Session
from .states import TASK_STATES, a_task_in_every_state, task_in

COUNTS = (
    "total_tasks", "pending_tasks", "in_progress_tasks", "error_tasks", "paused_tasks",
    "complete_tasks", "cancelled_tasks", "resolved_tasks", "ready_steps", "scheduled_steps",
    "in_backoff_steps", "in_progress_steps", "exhausted_steps", "complete_steps",
    "stalled_claims",
)  # fmt: skip


def health(db: Session) -> Any:
    [row] = db.call("get_system_health_counts")
    return row


def test_an_empty_install(db: Session):
    """Nothing, and the connections of the server."""
    row = health(db)
    assert {getattr(row, name) for name in COUNTS} == {0}
    assert (row.oldest_ready_at, row.oldest_ready_age) == (None, None)
    assert (row.live_runners, row.waiting_runners, row.lost_runners, row.paused_queues) == (0,) * 4
    assert 1 <= row.connections <= row.max_connections
    assert row.calculated_at == db.call("clock")


@pytest.mark.parametrize("refreshed", [False, True])
def test_every_task_is_counted_in_its_state(db: Session, refreshed: bool):
    """Before the rollup has seen them and after."""
    task_in(db, "complete")
    a_task_in_every_state(db)
    if refreshed:
        db.move_clock(5)
        db.call("maintain")
    row = health(db)
    assert row.total_tasks == len(TASK_STATES) + 1
    assert (row.pending_tasks, row.in_progress_tasks, row.error_tasks) == (1, 1, 1)
    assert (row.complete_tasks, row.cancelled_tasks, row.resolved_tasks) == (2, 1, 1)
    assert (row.in_progress_steps, row.exhausted_steps, row.complete_steps) == (1, 1, 4)


def test_what_waits_is_told_apart(db: Session):
    """For a runner, for a time, for its next attempt, for a person."""
    db.define("a", steps={"a": {"retry_limit": 9}})
    tasks = [db.start() for _ in range(5)]
    db.start(run_at=db.one("select clock() + interval '1 hour'"))
    oldest = db.call("clock")
    running = db.claim(2)
    db.fail(running[0], retry_after="60 s")
    db.release(running[1], delay="60 s")
    db.call("pause_task", task_id=tasks[4])
    db.call("pause_queue", queue="other")
    db.move_clock(30)
    row = health(db)
    assert (row.ready_steps, row.in_backoff_steps, row.scheduled_steps) == (2, 1, 2)
    assert (row.paused_tasks, row.paused_queues) == (1, 1)
    assert (row.oldest_ready_at, row.oldest_ready_age) == (oldest, timedelta(seconds=30))
    db.move_clock(30)
    row = health(db)
    assert (row.ready_steps, row.in_backoff_steps, row.scheduled_steps) == (4, 0, 1)


def test_runners_and_stalled_claims(db: Session, database: Database):
    """One that went silent is lost, and what it holds stalls until it is taken back."""
    db.define("a")
    for _ in range(3):
        db.start()
    silent = db.register(name="silent")
    db.claim(2, silent)
    db.move_clock(20)
    db.claim(1)
    db.claim(1)
    row = health(db)
    assert (row.live_runners, row.waiting_runners, row.lost_runners) == (1, 1, 1)
    assert (row.in_progress_steps, row.stalled_claims) == (3, 2)
    db.call("maintain")
    row = health(db)
    assert (row.in_progress_steps, row.stalled_claims, row.ready_steps) == (1, 0, 2)
    assert row.lost_runners == 1
    db.call("deregister_runner", runner_id=db.runner)
    assert health(db).live_runners == 0


def test_an_attempt_past_its_timeout_stalls(db: Session):
    """Until the database ends it."""
    db.run_with("a", a={"timeout": 5})
    db.claim_only("a")
    db.move_clock(7)
    assert health(db).stalled_claims == 1
