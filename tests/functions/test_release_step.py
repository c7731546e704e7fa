"""release_step: a runner hands a step back untouched; it becomes ready again, now or later."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.session import Session


def test_a_released_step_is_ready_at_once(db: Session):
    """It is the same attempt again."""
    task = db.run_with("a", a={"retry_limit": 1})
    for _ in range(3):
        claimed = db.claim_only("a")
        assert claimed.attempt == 1
        db.release(claimed)
    assert (db.step(task, "a").state, db.step(task, "a").attempts) == ("pending", 0)


def test_a_released_step_waits_if_asked_to(db: Session):
    """A snooze: pending, but not ready until its time."""
    task = db.run_with("a")
    db.release(db.claim_only("a"), delay="10 s")
    step = db.step(task, "a")
    assert (step.state, step.attempts) == ("pending", 0)
    assert (step.due_at - db.call("clock")).total_seconds() == 10
    db.call("maintain")
    assert db.claim(1) == []
    db.move_clock(10)
    db.call("maintain")
    assert db.claim_only("a").attempt == 1


def test_it_counts_on_where_it_was(db: Session):
    """Attempts that failed before stay used up."""
    db.run_with("a", a={"retry_limit": 2, "backoff": {"base": 0}})
    db.fail(db.claim_only("a"))
    db.call("maintain")
    db.release(db.claim_only("a"))
    assert db.claim_only("a").attempt == 2


def test_the_log_says_that_the_attempt_does_not_count(db: Session):
    """And who gave it back."""
    task = db.run_with("a")
    db.release(db.claim_only("a"))
    entry = db.last_entry(task, "step", "a")
    assert (entry.from_state, entry.to_state) == ("in_progress", "pending")
    assert (entry.attempt_counts, entry.attempts) == (False, 0)
    assert f"runner of {db.name}" in entry.actor


def test_the_task_stays_in_progress(db: Session):
    """Work that was begun is not unbegun."""
    task = db.run_with("a")
    db.release(db.claim_only("a"))
    assert db.state_of(task) == "in_progress"


@pytest.mark.parametrize("again", ["complete", "fail", "release"])
def test_a_claim_ends_once(db: Session, again: str):
    """What is reported after the release is lost."""
    db.run_with("a")
    claimed = db.claim_only("a")
    db.release(claimed)
    with db.refused("TK001", f"{claimed.claim_id}.*pending"):
        getattr(db, again)(claimed)


def test_a_step_of_a_paused_task_goes_back_and_waits(db: Session):
    """It is not ready before the task is resumed."""
    task = db.run_with("a")
    claimed = db.claim_only("a")
    db.call("pause_task", task_id=task)
    db.release(claimed)
    assert db.claim(1) == []
    db.call("resume_task", task_id=task)
    assert db.claim_only("a")


BAD = {
    "a null step": ({"workflow_step_id": None}, "22004"),
    "a null claim": ({"claim_id": None}, "22004"),
    "an unknown step": ({"workflow_step_id": 987654321}, "P0002"),
    "an unknown claim": ({"claim_id": 987654321}, "TK001"),
    "a null delay": ({"delay": None}, "22004"),
    "a negative delay": ({"delay": "-1 s"}, "22023"),
    "a delay beyond the calendar": ({"delay": "300000 years"}, "22023"),
}


@pytest.mark.parametrize(("asked", "sqlstate"), BAD.values(), ids=BAD)
def test_bad_input_is_refused(db: Session, asked: dict[str, Any], sqlstate: str):
    """And the step is still held."""
    db.run_with("a")
    claimed = db.claim_only("a")
    given = {"workflow_step_id": claimed.workflow_step_id, "claim_id": claimed.claim_id}
    with db.refused(sqlstate):
        db.call("release_step", **(given | asked))
    db.complete(claimed)
