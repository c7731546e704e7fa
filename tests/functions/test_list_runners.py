"""list_runners: who there is, alive or not, and what each holds."""

from __future__ import annotations

from typing import Any

from ..support.session import Session

COLUMNS = (
    "runner_id", "name", "queues", "state", "held_steps", "waiting_until", "started_at",
    "last_heartbeat_at", "lease_expires_at", "ended_at", "metadata",
)  # fmt: skip


def runner(db: Session, runner_id: int) -> Any:
    [row] = [row for row in db.call("list_runners") if row.runner_id == runner_id]
    return row


def test_the_columns(db: Session):
    """In the documented order; nobody is an empty list."""
    assert db.call("list_runners") == []
    assert runner(db, db.register())._fields == COLUMNS


def test_held_steps_are_counted(db: Session):
    """Those that it runs now."""
    db.run_with("a b c")
    one, two = db.register(), db.register()
    db.claim(1, one)
    second = db.claim(2, two)
    assert (runner(db, one).held_steps, runner(db, two).held_steps) == (1, 2)
    db.complete(second[0])
    assert runner(db, two).held_steps == 1


def test_a_runner_that_is_silent_is_lost(db: Session):
    """From the end of its lease, whether or not somebody called maintain."""
    silent = db.register()
    db.move_clock(14)
    assert runner(db, silent).state == "live"
    db.move_clock(2)
    assert runner(db, silent).state == "lost"
    db.call("maintain")
    assert runner(db, silent).state == "lost"
    assert runner(db, silent).ended_at == db.call("clock")


def test_a_runner_that_waits(db: Session):
    """It found less than it asked for and holds nothing; work ends the waiting."""
    idle = db.register()
    db.claim(1, idle)
    assert runner(db, idle).waiting_until > db.call("clock")
    db.run_with("a")
    db.claim(1, idle)
    assert runner(db, idle).waiting_until is None


def test_a_runner_that_works_does_not_wait(db: Session):
    """It will ask again when it is done."""
    db.run_with("a")
    busy = db.register()
    db.claim(10, busy)
    assert runner(db, busy).waiting_until is None
