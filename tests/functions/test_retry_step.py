"""retry_step: a failed step starts a new round of attempts, now."""

from __future__ import annotations

import pytest

from ..support.databases import Database
from ..support.session import Session
from .states import (
    STEP_STATES,
    by_someone,
    check_that_ids_are_needed,
    check_who,
    refuses_every_state_but,
    step_in,
    task_of,
)


@pytest.mark.parametrize("state", ["error", "backoff"])
def test_a_failed_step_is_ready_at_once(db: Session, state: str):
    """For good or waiting for its backoff; the new round has all its attempts."""
    step = step_in(db, state)
    db.call("retry_step", workflow_step_id=step)
    [claimed] = db.claim(1)
    assert (claimed.workflow_step_id, claimed.attempt) == (step, 1)


@refuses_every_state_but("error", "backoff", of=STEP_STATES)
def test_any_other_state_is_refused(db: Session, state: str):
    """Nothing failed there."""
    step = step_in(db, state)
    with db.refused("55000", f"{step}.*{state}"):
        db.call("retry_step", workflow_step_id=step)


def test_a_step_that_failed_for_its_context_is_checked_again(db: Session):
    """It fails again at once; by a schema that the context fits it runs, and it alone."""
    db.define("a b", context_schema={"required": ["order_id"]})
    task = db.start()
    db.call("retry_step", workflow_step_id=db.step_id(task, "a"))
    assert (db.state_of(task), db.steps_of(task)) == ("error", {"a": "error", "b": "error"})
    db.define("a b", context_schema={})
    db.call("retry_step", workflow_step_id=db.step_id(task, "a"))
    assert db.claim_only("a").attempt == 1
    assert db.steps_of(task) == {"a": "in_progress", "b": "error"}


def test_a_failed_task_goes_back_to_work(db: Session):
    """With its one step; the other failures stay."""
    task = db.run_with("a b")
    assert db.settle(task, broken=["a", "b"]) == "error"
    db.call("retry_step", workflow_step_id=db.step_id(task, "a"))
    assert db.state_of(task) == "pending"
    assert db.steps_of(task) == {"a": "pending", "b": "error"}
    db.finish_step("a")
    assert db.state_of(task) == "error"


def test_a_paused_tasks_step_waits(db: Session):
    """Until the task is resumed."""
    task = db.run_with("a")
    db.break_step("a")
    db.call("pause_task", task_id=task)
    db.call("retry_step", workflow_step_id=db.step_id(task, "a"))
    assert db.claim(1) == []
    db.call("resume_task", task_id=task)
    assert db.claim_only("a")


@by_someone
def test_actor_and_reason_are_in_the_log(db: Session, by: dict[str, str]):
    """With a round that begins at no attempts."""
    step = step_in(db, "error")
    db.call("retry_step", workflow_step_id=step, **by)
    entry = db.last_entry(task_of(db, step), "step", "a")
    check_who(db, entry, by)
    assert entry.attempts == 0


def test_the_step_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "retry_step", "workflow_step_id")


def test_two_at_once(database: Database):
    """One retries, the other finds nothing to retry."""
    first, second = database.connect("first"), database.connect("second")
    step = step_in(first, "error")
    first.begin()
    first.call("retry_step", workflow_step_id=step)
    waiting = second.later(second.call, "retry_step", workflow_step_id=step).blocked_by(first)
    first.commit()
    with database.main.refused("55000", "pending"):
        waiting.result()
