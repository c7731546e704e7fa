"""pause_queue: runners claim nothing more from the queue; what runs may finish."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.databases import Database
from ..support.session import Session
from .states import by_someone, check_who


def last_entry(db: Session, queue: str) -> Any:
    return db.row("select * from queue_transitions where queue = %s and most_recent", queue)


def test_nothing_more_is_claimed(db: Session):
    """By no runner, whatever arrives meanwhile."""
    db.define("a->b")
    first = db.start()
    held = db.claim_only("a")
    db.start()
    db.call("pause_queue", queue="default")
    db.start()
    assert db.claim(10) == []
    db.complete(held)
    assert db.claim(10) == []
    assert db.steps_of(first) == {"a": "complete", "b": "pending"}


def test_other_queues_go_on(db: Session):
    """A pause is one queue's."""
    db.run_with("a b", b={"queue": "x"})
    db.call("pause_queue", queue="default")
    assert db.claim_only("b")


def test_it_is_listed_as_paused(db: Session):
    """Also before anything was ever in it."""
    db.call("pause_queue", queue="new")
    [row] = [row for row in db.call("list_queues") if row.queue == "new"]
    assert row.paused


def test_a_paused_queue_is_refused(db: Session):
    """It is paused already."""
    db.call("pause_queue", queue="x")
    with db.refused("55000", "x.*paused"):
        db.call("pause_queue", queue="x")


@pytest.mark.parametrize("queue", [None, ""])
def test_a_queue_has_a_name(db: Session, queue: str | None):
    """Null and empty are refused."""
    with db.refused("22004|22023", "queue"):
        db.call("pause_queue", queue=queue)


@by_someone
def test_actor_and_reason_are_in_the_log(db: Session, by: dict[str, str]):
    """Who held it, and why."""
    db.call("pause_queue", queue="x", **by)
    entry = last_entry(db, "x")
    assert entry.to_state == "paused"
    check_who(db, entry, by)


def test_two_at_once(database: Database):
    """One pauses, the other finds it done."""
    first, second = database.connect("first"), database.connect("second")
    first.begin()
    first.call("pause_queue", queue="x")
    waiting = second.later(second.call, "pause_queue", queue="x").blocked_by(first)
    first.commit()
    with database.main.refused("55000"):
        waiting.result()
