"""pause_task: no further step of the task starts; what runs may finish."""

from __future__ import annotations

import pytest

from ..support.databases import Database
from ..support.session import Session
from .states import (
    TASK_STATES,
    by_someone,
    check_that_ids_are_needed,
    check_who,
    refuses_every_state_but,
    task_in,
)


@pytest.mark.parametrize("state", ["pending", "in_progress", "error"])
def test_an_unfinished_task_can_be_paused(db: Session, state: str):
    """It keeps its state."""
    task = task_in(db, state)
    db.call("pause_task", task_id=task)
    assert (db.state_of(task), db.task(task).paused) == (state, True)
    assert db.claim(10) == []


@refuses_every_state_but("pending", "in_progress", "error", of=TASK_STATES)
def test_a_finished_task_is_refused(db: Session, state: str):
    """There is nothing to hold back."""
    task = task_in(db, state)
    with db.refused("55000", f"{task}.*{state}"):
        db.call("pause_task", task_id=task)


def test_a_paused_task_is_refused(db: Session):
    """It is paused already."""
    task = task_in(db, "pending")
    db.call("pause_task", task_id=task)
    with db.refused("55000", f"{task}.*paused"):
        db.call("pause_task", task_id=task)


def test_what_runs_may_finish(db: Session):
    """Its children wait for the resuming."""
    task = db.run_with("a->b")
    held = db.claim_only("a")
    db.call("pause_task", task_id=task)
    db.complete(held)
    assert db.steps_of(task) == {"a": "complete", "b": "pending"}
    assert db.claim(1) == []
    db.call("resume_task", task_id=task)
    assert db.claim_only("b")


def test_the_last_step_finishes_a_paused_task(db: Session):
    """A finished task is not paused."""
    task = db.run_with("a")
    held = db.claim_only("a")
    db.call("pause_task", task_id=task)
    db.complete(held)
    assert (db.state_of(task), db.task(task).paused) == ("complete", False)


def test_a_paused_task_can_fail(db: Session):
    """It stays paused, so that a retry does not start by itself."""
    task = db.run_with("a")
    held = db.claim_only("a")
    db.call("pause_task", task_id=task)
    db.fail(held, retryable=False)
    assert (db.state_of(task), db.task(task).paused) == ("error", True)
    db.call("retry_task", task_id=task)
    assert db.claim(1) == []
    db.call("resume_task", task_id=task)
    assert db.claim_only("a")


@by_someone
def test_it_is_in_the_log_as_a_transition_that_keeps_the_state(db: Session, by: dict[str, str]):
    """With actor and reason."""
    task = task_in(db, "in_progress")
    db.call("pause_task", task_id=task, **by)
    entry = db.last_entry(task)
    assert (entry.from_state, entry.to_state) == ("in_progress", "in_progress")
    check_who(db, entry, by, "paused")


def test_the_task_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "pause_task", "task_id")


def test_beside_a_completion(database: Database):
    """Whichever comes first, the child of the finished step waits."""
    first, second = database.connect("first"), database.connect("second")
    for order in ("completion first", "pause first"):
        task = first.run_with("a->b")
        held = first.claim_only("a")
        if order == "completion first":
            first.begin()
            first.complete(held)
            waiting = second.later(second.call, "pause_task", task_id=task).blocked_by(first)
            first.commit()
        else:
            second.begin()
            second.call("pause_task", task_id=task)
            waiting = first.later(first.complete, held).blocked_by(second)
            second.commit()
        waiting.result()
        assert first.steps_of(task) == {"a": "complete", "b": "pending"}
        assert first.claim(10) == []


def test_beside_a_new_claim(database: Database):
    """A claim passes over a task that is being paused."""
    first, second = database.connect("first"), database.connect("second")
    task = first.run_with("a")
    assert second.runner
    first.begin()
    first.call("pause_task", task_id=task)
    assert second.claim(1) == []
    first.commit()
    assert second.claim(1) == []
