"""resume_queue: runners may claim from the queue again."""

from __future__ import annotations

import pytest

from ..support.session import Session
from .states import by_someone, check_who
from .test_pause_queue import last_entry


def test_everything_is_where_it_was(db: Session):
    """In the order in which it arrived."""
    db.define("a")
    early = db.start()
    db.call("pause_queue", queue="default")
    late = db.start()
    db.call("resume_queue", queue="default")
    assert [step.task_id for step in db.claim(10)] == [early, late]


def test_what_came_due_meanwhile_is_ready(db: Session):
    """Retries do not wait for the queue."""
    db.run_with("a")
    db.fail(db.claim_only("a"))
    db.call("pause_queue", queue="default")
    db.wait(5)
    db.call("resume_queue", queue="default")
    assert db.claim_only("a").attempt == 2


@pytest.mark.parametrize("queue", ["default", "never heard of"])
def test_a_queue_that_is_not_paused_is_refused(db: Session, queue: str):
    """Whether or not it is in use."""
    db.run_with("a")
    with db.refused("55000", queue):
        db.call("resume_queue", queue=queue)


@pytest.mark.parametrize("queue", [None, ""])
def test_a_queue_has_a_name(db: Session, queue: str | None):
    """Null and empty are refused."""
    with db.refused("22004|22023", "queue"):
        db.call("resume_queue", queue=queue)


@by_someone
def test_actor_and_reason_are_in_the_log(db: Session, by: dict[str, str]):
    """Beside those of the pause."""
    db.call("pause_queue", queue="x")
    db.call("resume_queue", queue="x", **by)
    entry = last_entry(db, "x")
    assert entry.to_state == "active"
    check_who(db, entry, by)
    assert db.one("select count(*) from queue_transitions where queue = 'x'") == 2
