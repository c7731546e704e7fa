"""list_queues: how much waits in each queue, and whether anybody serves it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ..support.session import Session

COLUMNS = (
    "queue",
    "paused",
    "depth",
    "scheduled",
    "in_process",
    "oldest_age",
    "runners",
    "next_due_at",
)


def queue(db: Session, name: str = "default") -> Any:
    [row] = [row for row in db.call("list_queues") if row.queue == name]
    return row


def test_the_columns(db: Session):
    """In the documented order."""
    db.run_with("a")
    assert queue(db)._fields == COLUMNS


def test_depth_is_what_is_ready(db: Session):
    """Scheduled is what waits for a time, in process what runs."""
    db.define("a->z b c")
    db.start()
    db.start(run_at=db.one("select clock() + interval '1 hour'"))
    assert (queue(db).depth, queue(db).scheduled, queue(db).in_process) == (3, 3, 0)
    first, second = db.claim(2)
    assert (queue(db).depth, queue(db).scheduled, queue(db).in_process) == (1, 3, 2)
    db.fail(first)
    db.complete(second)
    assert (queue(db).depth, queue(db).scheduled, queue(db).in_process) == (1, 4, 0)


def test_when_the_next_step_comes_due(db: Session):
    """The first of those that wait for a time; null if none does, or all of them are due."""
    db.define("a")
    now = db.call("clock")
    assert queue(db).next_due_at is None
    for seconds in (20, 10):
        db.start(run_at=now + timedelta(seconds=seconds))
    assert queue(db).next_due_at == now + timedelta(seconds=10)
    db.move_clock(10)
    assert queue(db).next_due_at == now + timedelta(seconds=20)
    db.move_clock(10)
    assert queue(db).next_due_at is None


def test_the_oldest_age(db: Session):
    """How long the first one has been ready; null if nothing is."""
    db.run_with("a")
    db.move_clock(7)
    db.start()
    db.move_clock(3)
    assert queue(db).oldest_age == timedelta(seconds=10)
    db.claim(1, db.register())
    assert queue(db).oldest_age == timedelta(seconds=3)


def test_live_runners_are_counted(db: Session):
    """On each of their queues."""
    db.run_with("a", a={"queue": "x"})
    db.register("x", "y")
    gone = db.register("x")
    silent = db.register("x")
    db.call("deregister_runner", runner_id=gone)
    assert queue(db, "x").runners == 2
    assert queue(db, "y").runners == 1
    db.move_clock(20)
    assert queue(db, "x").runners == 0
    assert silent


def test_a_paused_task_is_not_in_the_depth(db: Session):
    """Nothing of it could be claimed."""
    task = db.run_with("a")
    db.call("pause_task", task_id=task)
    assert [row.depth for row in db.call("list_queues") if row.queue == "default"] in ([], [0])


def test_every_queue_once(db: Session):
    """Those with steps, those with runners, and those that are paused."""
    db.run_with("a b", a={"queue": "x"})
    db.register("y", "x")
    db.call("pause_queue", queue="z")
    names = [row.queue for row in db.call("list_queues")]
    assert names == sorted(set(names))
    assert {"default", "x", "y", "z"} <= set(names)
    assert [row.queue for row in db.call("list_queues") if row.paused] == ["z"]
