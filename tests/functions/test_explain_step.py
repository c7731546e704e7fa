"""explain_step: why is this not running? In words and data, what matters most first."""

from __future__ import annotations

import pytest

from ..support.session import Session
from .states import STEP_STATES, check_that_ids_are_needed, step_in, task_of


def reasons(db: Session, step: int) -> list[str]:
    rows = db.call("explain_step", workflow_step_id=step)
    assert all(row.explanation.endswith(".") and row.details for row in rows)
    return [row.reason for row in rows]


def explain(db: Session, task: int, name: str) -> list[str]:
    return reasons(db, db.step_id(task, name))


def test_a_ready_step(db: Session):
    """It waits for a runner; the words say how many are before it."""
    db.define("a")
    tasks = [db.start() for _ in range(3)]
    db.register()
    assert explain(db, tasks[2], "a") == ["ready"]
    [row] = db.call("explain_step", workflow_step_id=db.step_id(tasks[2], "a"))
    assert row.explanation.endswith("ready before it: 2.")


def test_nobody_serves_its_queue(db: Session):
    """It is ready, and will not run."""
    task = db.run_with("a", a={"queue": "x"})
    db.register("y")
    assert explain(db, task, "a")[0] == "no_runner"
    [first, *_] = db.call("explain_step", workflow_step_id=db.step_id(task, "a"))
    assert first.details["queue"] == "x"
    db.register("x")
    assert explain(db, task, "a") == ["ready"]


def test_a_running_step(db: Session):
    """Since when, where, and which attempt."""
    task = db.run_with("a")
    claimed = db.claim_only("a")
    assert explain(db, task, "a") == ["running"]
    [row] = db.call("explain_step", workflow_step_id=db.step_id(task, "a"))
    assert row.details["runner_id"] == db.runner
    assert row.details["claim_id"] == claimed.claim_id
    assert f"runner of {db.name}" in row.explanation


def test_a_step_that_waits_for_its_parents(db: Session):
    """It names them."""
    task = db.run_with("a->c b->c c->d")
    db.register()
    assert explain(db, task, "d") == ["waiting_for_parents"]
    assert explain(db, task, "c") == ["waiting_for_parents"]
    [row] = db.call("explain_step", workflow_step_id=db.step_id(task, "c"))
    assert {step["name"] for step in row.details["steps"]} == {"a", "b"}
    db.complete(db.claim(1)[0])
    [row] = db.call("explain_step", workflow_step_id=db.step_id(task, "c"))
    assert {step["name"] for step in row.details["steps"]} == {"b"}


def test_a_step_behind_a_failure(db: Session):
    """However far up it is: it comes first, and names the failure."""
    task = db.run_with("a->b->c")
    db.break_step("a")
    assert explain(db, task, "c")[0] == "blocked_by_failure"
    [first, *_] = db.call("explain_step", workflow_step_id=db.step_id(task, "c"))
    assert [step["name"] for step in first.details["steps"]] == ["a"]


def test_a_failed_step(db: Session):
    """For good; the words carry its message."""
    task = db.run_with("a")
    db.break_step("a")
    assert explain(db, task, "a") == ["failed"]
    [row] = db.call("explain_step", workflow_step_id=db.step_id(task, "a"))
    assert "boom" in row.explanation


def test_a_step_that_failed_for_the_context_of_its_task(db: Session):
    """Before its first attempt; the words name the path and what to do."""
    db.define("a->b", context_schema={"required": ["order_id"]})
    task = db.start()
    assert explain(db, task, "a") == ["failed"]
    [row] = db.call("explain_step", workflow_step_id=db.step_id(task, "a"))
    assert "before its first attempt: the context does not fit: context.order_id is missing. " in (
        row.explanation
    )
    assert "retry_task" in row.explanation
    assert row.details["error"]["type"] == "InvalidContext"
    assert explain(db, task, "b")[0] == "blocked_by_failure"


def test_a_step_that_waits_for_its_retry(db: Session):
    """It says until when."""
    task = db.run_with("a")
    db.fail(db.claim_only("a"), retry_after="7 s")
    assert explain(db, task, "a") == ["backoff"]
    [row] = db.call("explain_step", workflow_step_id=db.step_id(task, "a"))
    assert row.details["attempts"] == 1
    assert "due_at" in row.details


@pytest.mark.parametrize("why", ["run_at", "snooze"])
def test_a_step_that_waits_for_its_time(db: Session, why: str):
    """A delayed task, or a step that was released for a while."""
    db.define("a")
    if why == "run_at":
        task = db.start(run_at=db.one("select clock() + interval '7 s'"))
        db.register()
    else:
        task = db.start()
        db.release(db.claim_only("a"), delay="7 s")
    assert explain(db, task, "a") == ["scheduled"]
    db.move_clock(7)
    assert explain(db, task, "a") == ["ready"]
    db.call("maintain")
    assert explain(db, task, "a") == ["ready"]


def test_a_paused_task(db: Session):
    """A person holds it back."""
    task = db.run_with("a")
    db.register()
    db.call("pause_task", task_id=task)
    assert explain(db, task, "a") == ["task_paused"]


def test_a_paused_queue(db: Session):
    """A person holds all of it back."""
    task = db.run_with("a")
    db.register()
    db.call("pause_queue", queue="default")
    assert explain(db, task, "a")[0] == "queue_paused"


@pytest.mark.parametrize("end", ["complete", "skipped", "resolved_manually", "cancelled"])
def test_a_finished_step(db: Session, end: str):
    """It is over."""
    task = db.run_with("a->b", a={"skippable": True})
    step = db.step_id(task, "a")
    match end:
        case "complete":
            db.finish_step("a")
        case "skipped":
            db.call("skip_step", workflow_step_id=step)
        case "resolved_manually":
            db.call("resolve_step", workflow_step_id=step)
        case _:
            db.call("cancel_task", task_id=task)
    rows = db.call("explain_step", workflow_step_id=step)
    assert rows[0].reason == "finished"
    assert end in rows[0].explanation


def test_a_step_of_a_task_that_is_over(db: Session):
    """It never ran and never will."""
    task = db.run_with("a->b")
    db.break_step("a")
    db.call("resolve_task", task_id=task)
    assert explain(db, task, "b")[0] == "task_final"


def test_several_reasons(db: Session):
    """All that hold are told."""
    task = db.run_with("a->b")
    db.call("pause_task", task_id=task)
    db.call("pause_queue", queue="default")
    found = explain(db, task, "b")
    assert {"task_paused", "queue_paused", "waiting_for_parents", "no_runner"} <= set(found)


def test_a_reason_for_every_step_in_every_state(db: Session):
    """The answer is never empty."""
    for state in STEP_STATES:
        step = step_in(db, state)
        assert reasons(db, step)
        task = task_of(db, step)
        if db.state_of(task) not in ("cancelled", "complete"):
            db.call("cancel_task", task_id=task)


def test_the_step_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "explain_step", "workflow_step_id")
