"""skip_step: a step that its workflow declares skippable is left out; its children go on."""

from __future__ import annotations

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


def test_a_pending_step_can_be_skipped(db: Session):
    """Its children are ready, and get null for its results."""
    step = step_in(db, "pending")
    db.call("skip_step", workflow_step_id=step)
    assert db.steps_of(task_of(db, step))["a"] == "skipped"
    results = {claimed.step_name: claimed.dependency_results for claimed in db.claim(10)}
    assert results == {"b": {"a": None}, "x": {}}


@refuses_every_state_but("pending", of=STEP_STATES)
def test_any_other_state_is_refused(db: Session, state: str):
    """What has begun is resolved, not skipped."""
    step = step_in(db, state)
    shown = "error" if state == "backoff" else state
    with db.refused("55000", f"{step}.*{shown}"):
        db.call("skip_step", workflow_step_id=step)


def test_only_a_skippable_step(db: Session):
    """The error names the step and says what to do instead."""
    task = db.run_with("a->b")
    step = db.step_id(task, "a")
    with db.refused("55000|22023", rf"{step}.*skippable"):
        db.call("skip_step", workflow_step_id=step)


def test_a_step_before_its_parents(db: Session):
    """It will not wait for them; the task does."""
    task = db.run_with("a->b", b={"skippable": True})
    db.call("skip_step", workflow_step_id=db.step_id(task, "b"))
    assert db.state_of(task) == "pending"
    db.finish_step("a")
    assert db.state_of(task) == "complete"


def test_the_last_unfinished_step_completes_the_task(db: Session):
    """The skipped leaf is in its results as null."""
    task = db.run_with("a->b", b={"skippable": True})
    db.finish_step("a")
    db.call("skip_step", workflow_step_id=db.step_id(task, "b"))
    assert db.state_of(task) == "complete"
    assert db.task(task).results == {"b": None}


def test_a_step_behind_a_failure(db: Session):
    """Its children go on; the failure stays one."""
    task = db.run_with("a->b->c", b={"skippable": True})
    assert db.settle(task, broken=["a"]) == "error"
    db.call("skip_step", workflow_step_id=db.step_id(task, "b"))
    assert db.state_of(task) in ("pending", "in_progress")
    db.finish_step("c")
    assert db.state_of(task) == "error"
    assert db.steps_of(task) == {"a": "error", "b": "skipped", "c": "complete"}


@by_someone
def test_actor_and_reason_are_in_the_log(db: Session, by: dict[str, str]):
    """Who left it out, and why."""
    step = step_in(db, "pending")
    db.call("skip_step", workflow_step_id=step, **by)
    check_who(db, db.last_entry(task_of(db, step), "step", "a"), by)


def test_the_step_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "skip_step", "workflow_step_id")


def test_beside_a_claim(database: Database):
    """A claim passes over what is being skipped; a skip waits for an open claim, and is refused."""
    first, second = database.connect("first"), database.connect("second")
    step = step_in(first, "pending")
    assert second.runner
    first.begin()
    first.call("skip_step", workflow_step_id=step)
    assert "a" not in [claimed.step_name for claimed in second.claim(10)]
    first.rollback()
    second.begin()
    assert "a" in [claimed.step_name for claimed in second.claim(10)]
    waiting = first.later(first.call, "skip_step", workflow_step_id=step).blocked_by(second)
    second.commit()
    with database.main.refused("55000", "in_progress"):
        waiting.result()
