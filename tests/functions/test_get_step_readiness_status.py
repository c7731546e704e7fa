"""get_step_readiness_status: could each step of a task run now, and if not, what is missing?

The active view shows the same for the steps of all tasks that are not over.
"""

from __future__ import annotations

from typing import Any

import pytest

from ..support.session import Session
from .states import STEP_STATES, check_that_ids_are_needed, step_in, task_of

COLUMNS = (
    "workflow_step_id", "task_id", "named_step_id", "name", "current_state",
    "dependencies_satisfied", "retry_eligible", "ready_for_execution", "last_failure_at",
    "next_retry_at", "total_parents", "completed_parents", "attempts", "retry_limit",
    "backoff_request_seconds", "last_attempted_at",
)  # fmt: skip


def readiness(db: Session, task: int, name: str) -> Any:
    rows = db.call("get_step_readiness_status", task_id=task)
    [row] = [row for row in rows if row.name == name]
    return row


def test_the_columns(db: Session):
    """In the documented order, of the function and of the view."""
    task = db.run_with("a")
    assert readiness(db, task, "a")._fields == COLUMNS
    assert db.row("table active_step_readiness_statuses")._fields == COLUMNS


def test_a_ready_step(db: Session):
    """Pending, with nothing missing."""
    row = readiness(db, db.run_with("a", a={"retry_limit": 7}), "a")
    assert (row.current_state, row.attempts, row.retry_limit) == ("pending", 0, 7)
    assert (row.dependencies_satisfied, row.retry_eligible, row.ready_for_execution) == (True,) * 3
    assert (row.total_parents, row.completed_parents) == (0, 0)
    assert (row.last_failure_at, row.next_retry_at, row.last_attempted_at) == (None,) * 3


def test_parents_are_counted(db: Session):
    """Satisfied is complete, resolved or skipped."""
    task = db.run_with("a->z b->z c->z", b={"skippable": True})
    seen = [readiness(db, task, "z")]
    db.complete(next(step for step in db.claim(3) if step.step_name == "a"))
    db.call("deregister_runner", runner_id=db.runner)
    seen.append(readiness(db, task, "z"))
    db.call("skip_step", workflow_step_id=db.step_id(task, "b"))
    seen.append(readiness(db, task, "z"))
    db.call("resolve_step", workflow_step_id=db.step_id(task, "c"))
    seen.append(readiness(db, task, "z"))
    assert [(row.completed_parents, row.total_parents) for row in seen] == [
        (0, 3), (1, 3), (2, 3), (3, 3)
    ]  # fmt: skip
    assert [row.dependencies_satisfied for row in seen] == [False, False, False, True]
    assert [row.ready_for_execution for row in seen] == [False, False, False, True]


def test_a_retry_is_ready_when_its_backoff_has_elapsed(db: Session):
    """Whether or not somebody promoted it."""
    task = db.run_with("a")
    claimed_at = db.call("clock")
    claimed = db.claim_only("a")
    db.move_clock(1)
    db.fail(claimed, retry_after="7 s")
    row = readiness(db, task, "a")
    assert (row.current_state, row.attempts) == ("error", 1)
    assert (row.retry_eligible, row.ready_for_execution) == (True, False)
    assert (row.last_attempted_at, row.last_failure_at) == (claimed_at, db.call("clock"))
    assert (row.next_retry_at - row.last_failure_at).total_seconds() == 7
    assert row.backoff_request_seconds == 7
    db.move_clock(7)
    assert readiness(db, task, "a").ready_for_execution
    db.call("maintain")
    row = readiness(db, task, "a")
    assert (row.current_state, row.ready_for_execution) == ("pending", True)
    assert row.last_failure_at is not None


def test_a_drawn_backoff_was_not_asked_for(db: Session):
    """backoff_request_seconds is what the handler asked for, if it did."""
    task = db.run_with("a")
    db.fail(db.claim_only("a"))
    assert readiness(db, task, "a").backoff_request_seconds is None
    assert readiness(db, task, "a").next_retry_at is not None


@pytest.mark.parametrize("how", ["exhausted", "not retryable"])
def test_a_permanent_failure_is_not_eligible(db: Session, how: str):
    """It never runs by itself again."""
    task = db.run_with("a", a={"retry_limit": 1 if how == "exhausted" else 3})
    db.fail(db.claim_only("a"), retryable=how == "exhausted")
    row = readiness(db, task, "a")
    assert (row.retry_eligible, row.ready_for_execution, row.next_retry_at) == (False, False, None)


@pytest.mark.parametrize("limit", [0, 1])
def test_the_first_attempt_is_always_eligible(db: Session, limit: int):
    """Whatever the limit."""
    row = readiness(db, db.run_with("a", a={"retry_limit": limit}), "a")
    assert (row.retry_eligible, row.ready_for_execution) == (True, True)


@pytest.mark.parametrize("hold", ["pause_task", "run_at", "snooze", "claim"])
def test_what_holds_a_step_back(db: Session, hold: str):
    """A pause, a time, or an attempt that is under way."""
    db.define("a")
    later = db.one("select clock() + interval '1 hour'")
    task = db.start(run_at=later if hold == "run_at" else None)
    if hold == "pause_task":
        db.call("pause_task", task_id=task)
    elif hold == "snooze":
        db.release(db.claim_only("a"), delay="1 hour")
    elif hold == "claim":
        db.claim_only("a")
    row = readiness(db, task, "a")
    assert (row.dependencies_satisfied, row.ready_for_execution) == (True, False)


@pytest.mark.parametrize("state", STEP_STATES)
def test_only_what_is_ready_is_claimed(db: Session, state: str):
    """The views derive from first principles what the queue keeps."""
    task = task_of(db, step_in(db, state))
    rows = db.call("get_step_readiness_status", task_id=task)
    ready = {row.workflow_step_id for row in rows if row.ready_for_execution}
    assert {step.workflow_step_id for step in db.claim(100)} == ready


def test_some_steps_of_a_task(db: Session):
    """By their ids; those of other tasks are not shown."""
    task, other = db.run_with("a b c"), db.start()
    wanted = [db.step_id(task, "a"), db.step_id(task, "c"), db.step_id(other, "b")]
    rows = db.call("get_step_readiness_status", task_id=task, step_ids=wanted)
    assert sorted(row.name for row in rows) == ["a", "c"]
    assert db.call("get_step_readiness_status", task_id=task, step_ids=[]) == []


def test_the_active_view_leaves_out_what_is_over(db: Session):
    """A task in error wants attention and stays."""
    db.define("a")
    tasks = [db.start() for _ in range(4)]
    db.complete(db.claim(1)[0])
    db.fail(db.claim(1)[0], retryable=False)
    db.call("cancel_task", task_id=tasks[2])
    shown = db.column("select task_id from active_step_readiness_statuses order by 1")
    assert shown == [tasks[1], tasks[3]]


def test_the_active_view_agrees_with_the_function(db: Session):
    """Row by row."""
    db.run_with("a->b c")
    task = db.start()
    db.fail(db.claim(1)[0])
    for each in (task, task - 1):
        shown = db.rows(
            "select * from active_step_readiness_statuses where task_id = %s"
            " order by workflow_step_id",
            each,
        )
        assert shown == db.call("get_step_readiness_status", task_id=each)


def test_the_task_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "get_step_readiness_status", "task_id")
