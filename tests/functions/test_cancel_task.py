"""cancel_task: ends a task and every step of it that is not over."""

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
def test_an_unfinished_task_can_be_cancelled(db: Session, state: str):
    """With every step that is not over; nothing of it is ready any more."""
    task = task_in(db, state)
    db.call("cancel_task", task_id=task)
    row = db.task(task)
    assert (row.state, row.complete, row.paused) == ("cancelled", True, False)
    assert row.finished_at == db.call("clock")
    assert set(db.steps_of(task).values()) == {"cancelled"}
    assert db.claim(10) == []


@refuses_every_state_but("pending", "in_progress", "error", of=TASK_STATES)
def test_a_finished_task_is_refused(db: Session, state: str):
    """There is nothing to end."""
    task = task_in(db, state)
    with db.refused("55000", f"{task}.*{state}"):
        db.call("cancel_task", task_id=task)


def test_steps_that_are_over_stay_as_they_are(db: Session):
    """Only what is unfinished is cancelled."""
    task = db.run_with("a->b->c->d", b={"skippable": True})
    db.finish_step("a")
    db.call("skip_step", workflow_step_id=db.step_id(task, "b"))
    db.call("cancel_task", task_id=task)
    assert list(db.steps_of(task).values()) == ["complete", "skipped", "cancelled", "cancelled"]


def test_a_running_attempt_loses_its_claim(db: Session):
    """Its runner learns it by TK001, or by its heartbeat."""
    task = db.run_with("a")
    held = db.claim_only("a")
    db.call("cancel_task", task_id=task)
    with db.refused("TK001", "cancelled"):
        db.complete(held)
    assert db.call("heartbeat", runner_id=db.runner, held=[held.claim_id]) == [held.claim_id]


def test_a_retry_that_waits_does_not_come(db: Session):
    """Nor does a task that waits for its time."""
    flaky = db.run_with("a")
    db.fail(db.claim_only("a"))
    later = db.start(run_at=db.one("select clock() + interval '5 s'"))
    for task in (flaky, later):
        db.call("cancel_task", task_id=task)
    db.move_clock(10)
    db.call("maintain")
    assert db.claim(10) == []


def test_a_paused_task_can_be_cancelled(db: Session):
    """It is not paused afterwards."""
    task = task_in(db, "pending")
    db.call("pause_task", task_id=task)
    db.call("cancel_task", task_id=task)
    assert (db.state_of(task), db.task(task).paused) == ("cancelled", False)


@by_someone
def test_actor_and_reason_are_in_the_log(db: Session, by: dict[str, str]):
    """Of the task and of every step."""
    task = task_in(db, "pending")
    db.call("cancel_task", task_id=task, **by)
    for entry in db.history(task):
        check_who(db, entry, by)


def test_the_task_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "cancel_task", "task_id")


def test_beside_a_completion_that_came_first(database: Database):
    """The cancel waits and takes what is left."""
    first, second = database.connect("first"), database.connect("second")
    task = first.run_with("a->b")
    held = first.claim_only("a")
    first.begin()
    first.complete(held)
    waiting = second.later(second.call, "cancel_task", task_id=task).blocked_by(first)
    first.commit()
    waiting.result()
    assert first.steps_of(task) == {"a": "complete", "b": "cancelled"}
    assert first.claim(1) == []


def test_before_a_completion(database: Database):
    """The completion waits and is lost; no queue row of a cancelled child is left."""
    first, second = database.connect("first"), database.connect("second")
    task = first.run_with("a->b")
    held = first.claim_only("a")
    second.begin()
    second.call("cancel_task", task_id=task)
    waiting = first.later(first.complete, held).blocked_by(second)
    second.commit()
    with database.main.refused("TK001"):
        waiting.result()
    assert set(first.steps_of(task).values()) == {"cancelled"}
    assert first.claim(1) == []


def test_beside_a_claim(database: Database):
    """A claim passes over what is being cancelled; a cancel waits for an open claim."""
    first, second = database.connect("first"), database.connect("second")
    task = first.run_with("a")
    assert second.runner
    first.begin()
    first.call("cancel_task", task_id=task)
    assert second.claim(1) == []
    first.rollback()
    second.begin()
    second.claim_only("a")
    waiting = first.later(first.call, "cancel_task", task_id=task).blocked_by(second)
    second.commit()
    waiting.result()
    assert first.steps_of(task) == {"a": "cancelled"}


def test_two_at_once(database: Database):
    """One cancels, the other finds it done."""
    first, second = database.connect("first"), database.connect("second")
    task = first.run_with("a->b")
    first.begin()
    first.call("cancel_task", task_id=task)
    waiting = second.later(second.call, "cancel_task", task_id=task).blocked_by(first)
    first.commit()
    with database.main.refused("55000"):
        waiting.result()
