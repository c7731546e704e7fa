"""resume_task: steps of a paused task may start again."""

from __future__ import annotations

import pytest

from ..support.session import Session
from .states import (
    TASK_STATES,
    by_someone,
    check_that_ids_are_needed,
    check_who,
    task_in,
)


@pytest.mark.parametrize("state", ["pending", "in_progress", "error"])
def test_a_paused_task_is_as_it_was_before(db: Session, state: str):
    """State and steps, and what is ready."""
    task = task_in(db, state)
    before = db.steps(task)
    db.call("pause_task", task_id=task)
    db.call("resume_task", task_id=task)
    assert (db.state_of(task), db.task(task).paused) == (state, False)
    assert db.steps(task) == before
    assert len(db.claim(10)) == (state == "pending")


@pytest.mark.parametrize("state", TASK_STATES)
def test_a_task_that_is_not_paused_is_refused(db: Session, state: str):
    """There is nothing to resume."""
    task = task_in(db, state)
    with db.refused("55000", f"{task}"):
        db.call("resume_task", task_id=task)


def test_every_step_that_could_run_is_ready_again(db: Session):
    """Roots, freed children and due retries; what waits for a time still waits."""
    task = db.run_with("a->b c d e f", e={"backoff": {"base": 100}})
    running = {step.step_name: step for step in db.claim(5)}
    db.call("pause_task", task_id=task)
    db.complete(running["a"])
    db.release(running["c"])
    db.fail(running["d"])
    db.fail(running["e"])
    db.move_clock(5)
    db.call("maintain")
    db.call("resume_task", task_id=task)
    db.wait(1)
    assert {step.step_name for step in db.claim(10)} == {"b", "c", "d"}
    assert db.steps_of(task)["e"] == "error"
    assert db.steps_of(task)["f"] == "in_progress"


def test_a_delayed_task_still_waits_for_its_time(db: Session):
    """Resuming is not starting."""
    db.define("a")
    task = db.start(run_at=db.one("select clock() + interval '10 s'"))
    db.call("pause_task", task_id=task)
    db.call("resume_task", task_id=task)
    assert db.claim(1) == []
    db.move_clock(10)
    db.call("maintain")
    assert db.claim_only("a")


@by_someone
def test_actor_and_reason_are_in_the_log(db: Session, by: dict[str, str]):
    """As a transition that keeps the state."""
    task = task_in(db, "pending")
    db.call("pause_task", task_id=task)
    db.call("resume_task", task_id=task, **by)
    entry = db.last_entry(task)
    assert (entry.from_state, entry.to_state) == ("pending", "pending")
    check_who(db, entry, by, "resumed")


def test_the_task_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "resume_task", "task_id")
