"""get_task_execution_context: how a task stands as a whole, and what that means.

The active view shows the same for all tasks that are not over.
"""

from __future__ import annotations

from typing import Any

from ..support.session import Session
from .states import check_that_ids_are_needed

COLUMNS = (
    "task_id", "named_task_id", "status", "total_steps", "pending_steps", "in_progress_steps",
    "completed_steps", "failed_steps", "ready_steps", "execution_status", "recommended_action",
    "completion_percentage", "health_status", "waiting_reason",
)  # fmt: skip


def context(db: Session, task: int) -> Any:
    [row] = db.call("get_task_execution_context", task_id=task)
    return row


def verdict(db: Session, task: int) -> tuple[str, str, str]:
    row = context(db, task)
    return (row.execution_status, row.recommended_action, row.health_status)


def test_the_columns(db: Session):
    """In the documented order, of the function and of the view."""
    task = db.run_with("a")
    assert context(db, task)._fields == COLUMNS
    assert db.row("table active_task_execution_contexts")._fields == COLUMNS


def test_steps_are_counted_by_state(db: Session):
    """Every step once; completed are those that satisfy their children."""
    task = db.run_with("a b c d e f", e={"skippable": True})
    running = {step.step_name: step for step in db.claim(4)}
    db.complete(running["a"])
    db.fail(running["b"], retryable=False)
    db.fail(running["c"])
    db.call("skip_step", workflow_step_id=db.step_id(task, "e"))
    row = context(db, task)
    assert (row.status, row.total_steps) == ("in_progress", 6)
    assert (row.pending_steps, row.in_progress_steps) == (1, 1)
    assert (row.completed_steps, row.failed_steps, row.ready_steps) == (2, 2, 1)
    assert round(float(row.completion_percentage), 1) == 33.3


def test_a_task_with_ready_steps(db: Session):
    """They are to be executed."""
    task = db.run_with("a->b")
    assert verdict(db, task) == ("has_ready_steps", "execute_ready_steps", "healthy")
    assert context(db, task).waiting_reason == "runner"


def test_a_task_that_is_processing(db: Session):
    """Something runs, and nothing else could."""
    task = db.run_with("a->b")
    db.claim_only("a")
    assert verdict(db, task) == ("processing", "wait_for_completion", "healthy")


def test_a_task_that_is_complete(db: Session):
    """A hundred percent."""
    task = db.run_with("a->b")
    db.settle(task)
    assert verdict(db, task) == ("all_complete", "finalize_task", "healthy")
    assert context(db, task).completion_percentage == 100
    assert context(db, task).waiting_reason is None


def test_a_task_that_waits_for_a_retry(db: Session):
    """It has failed, and recovers by itself."""
    task = db.run_with("a->b")
    db.fail(db.claim_only("a"), retry_after="7 s")
    assert verdict(db, task) == (
        "waiting_for_dependencies",
        "wait_for_dependencies",
        "recovering",
    )
    assert context(db, task).waiting_reason == "backoff"
    db.move_clock(7)
    assert verdict(db, task) == ("has_ready_steps", "execute_ready_steps", "recovering")


def test_a_task_that_goes_on_beside_a_failure(db: Session):
    """Independent branches recover it in part."""
    task = db.run_with("a x->y")
    running = {step.step_name: step for step in db.claim(2)}
    db.fail(running["a"], retryable=False)
    assert verdict(db, task) == ("processing", "wait_for_completion", "recovering")
    db.complete(running["x"])
    assert verdict(db, task) == ("has_ready_steps", "execute_ready_steps", "recovering")


def test_a_task_that_is_blocked(db: Session):
    """A permanent failure, and nothing can run."""
    task = db.run_with("a->b")
    db.break_step("a")
    assert verdict(db, task) == ("blocked_by_failures", "handle_failures", "blocked")


def test_what_a_task_waits_for(db: Session):
    """A person, a time, or its own steps."""
    db.define("a->b")
    paused = db.start()
    db.call("pause_task", task_id=paused)
    assert context(db, paused).waiting_reason == "paused"
    delayed = db.start(run_at=db.one("select clock() + interval '1 hour'"))
    assert context(db, delayed).waiting_reason == "scheduled"
    working = db.start()
    db.claim_only("a")
    assert context(db, working).waiting_reason == "dependencies"


def test_the_active_view_leaves_out_what_is_over(db: Session):
    """A task in error wants attention and stays."""
    db.define("a")
    tasks = [db.start() for _ in range(4)]
    db.complete(db.claim(1)[0])
    db.fail(db.claim(1)[0], retryable=False)
    db.call("cancel_task", task_id=tasks[2])
    rows = db.rows("select * from active_task_execution_contexts order by task_id")
    assert [row.task_id for row in rows] == [tasks[1], tasks[3]]
    assert rows == [context(db, tasks[1]), context(db, tasks[3])]


def test_the_task_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "get_task_execution_context", "task_id")
