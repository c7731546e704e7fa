"""get_task: one row with everything about a task."""

from __future__ import annotations

import pytest

from ..support.session import Session
from .states import TASK_STATES, check_that_ids_are_needed, task_in

COLUMNS = (
    "task_id", "namespace", "name", "version", "state", "complete", "paused", "priority",
    "context", "results", "error", "tags", "idempotency_key", "initiator", "source_system",
    "reason", "run_at", "created_at", "started_at", "finished_at", "total_steps",
    "processed_steps", "failed_steps",
)  # fmt: skip


def test_the_columns(db: Session):
    """In the documented order."""
    assert db.task(db.run_with("a"))._fields == COLUMNS


@pytest.mark.parametrize("state", TASK_STATES)
def test_every_state(db: Session, state: str):
    """`complete` is the flag of those that are over."""
    row = db.task(task_in(db, state))
    over = state in ("complete", "resolved_manually", "cancelled")
    assert (row.state, row.complete) == (state, over)
    assert (row.finished_at is not None) == over


def test_times(db: Session):
    """Created, first claimed, and over."""
    task = db.run_with("a->b")
    moments = [db.call("clock")]
    for name in ("a", "b"):
        db.move_clock(1)
        moments.append(db.call("clock"))
        claimed = db.claim_only(name)
        db.move_clock(1)
        db.complete(claimed)
    row = db.task(task)
    assert (row.created_at, row.started_at) == (moments[0], moments[1])
    assert row.finished_at == db.call("clock")


def test_results_are_those_of_the_leaves(db: Session):
    """By step name, once the task is over; null for a leaf that gave none."""
    task = db.run_with("a->b a->c a->d", d={"skippable": True})
    db.finish_step("a", {"inner": True})
    db.call("skip_step", workflow_step_id=db.step_id(task, "d"))
    for step in db.claim(2):
        db.complete(step, [1] if step.step_name == "b" else None)
    assert db.task(task).results == {"b": [1], "c": None, "d": None}


def test_the_error_is_by_failed_step(db: Session):
    """All that failed, and nothing once they are resolved."""
    task = db.run_with("a b c")
    for number, step in enumerate(db.claim(2)):
        db.fail(step, {"message": str(number)}, retryable=False)
    db.finish_step("c")
    assert db.task(task).error == {"a": {"message": "0"}, "b": {"message": "1"}}
    assert db.task(task).failed_steps == 2
    for name in ("a", "b"):
        db.call("resolve_step", workflow_step_id=db.step_id(task, name))
    assert not db.task(task).error
    assert db.task(task).failed_steps == 0


def test_processed_are_those_that_are_final(db: Session):
    """Complete, resolved, skipped and cancelled alike."""
    task = db.run_with("a b c d", c={"skippable": True})
    db.complete(db.claim(1)[0])
    db.call("resolve_step", workflow_step_id=db.step_id(task, "b"))
    db.call("skip_step", workflow_step_id=db.step_id(task, "c"))
    assert (db.task(task).processed_steps, db.task(task).total_steps) == (3, 4)
    db.call("cancel_task", task_id=task)
    assert db.task(task).processed_steps == 4


def test_the_task_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "get_task", "task_id")
