"""get_task_steps: the steps of one task, parents before children."""

from __future__ import annotations

from ..support.session import Session
from .states import check_that_ids_are_needed

COLUMNS = (
    "workflow_step_id", "name", "state", "attempts", "retry_limit", "depends_on", "results",
    "error", "created_at", "started_at", "finished_at", "due_at", "runner_id", "runner", "progress",
    "ready_at",
)  # fmt: skip


def test_the_columns(db: Session):
    """In the documented order."""
    assert db.steps(db.run_with("a"))[0]._fields == COLUMNS


def test_parents_come_before_children(db: Session):
    """However the definition lists them."""
    task = db.run_with("e->f b->d c->d d->e a->b a->c z")
    seen: set[str] = set()
    for step in db.steps(task):
        assert set(step.depends_on) <= seen
        seen.add(step.name)
    assert seen == set("abcdefz")
    assert sorted(db.step(task, "d").depends_on) == ["b", "c"]
    assert db.step(task, "z").depends_on == []


def test_a_step_that_waits(db: Session):
    """Nothing has happened to it."""
    step = db.steps(db.run_with("a", a={"retry_limit": 7}))[0]
    assert (step.state, step.attempts, step.retry_limit) == ("pending", 0, 7)
    assert step.created_at == db.call("clock")
    assert (step.results, step.error, step.progress, step.due_at) == (None, None, None, None)
    assert (step.started_at, step.finished_at, step.runner_id, step.runner) == (None,) * 4
    assert step.ready_at is None


def test_since_when_a_step_had_waited(db: Session):
    """For its last attempt: from when it came into the queue."""
    task = db.run_with("a")
    created = db.call("clock")
    db.move_clock(3)
    claimed = db.claim_only("a")
    assert db.step(task, "a").ready_at == created
    db.move_clock(1)
    db.release(claimed)
    released = db.call("clock")
    db.move_clock(1)
    db.finish_step("a")
    assert db.step(task, "a").ready_at == released


def test_a_step_that_runs(db: Session):
    """Which attempt, since when, and where."""
    task = db.run_with("a")
    db.move_clock(1)
    db.claim_only("a")
    step = db.step(task, "a")
    assert (step.state, step.attempts) == ("in_progress", 1)
    assert (step.started_at, step.finished_at) == (db.call("clock"), None)
    assert (step.runner_id, step.runner) == (db.runner, f"runner of {db.name}")


def test_a_step_that_is_complete(db: Session):
    """Its results, and when the last attempt began and ended."""
    task = db.run_with("a")
    claimed = db.claim_only("a")
    started_at = db.call("clock")
    db.move_clock(1)
    db.complete(claimed, {"n": 1})
    step = db.step(task, "a")
    assert (step.results, step.started_at, step.finished_at) == (
        {"n": 1},
        started_at,
        db.call("clock"),
    )
    assert step.runner == f"runner of {db.name}"


def test_a_step_that_failed(db: Session):
    """Its error, and when it is due again; not finished before it is final."""
    task = db.run_with("a")
    db.fail(db.claim_only("a"), {"message": "boom"}, retry_after="7 s")
    step = db.step(task, "a")
    assert (step.state, step.error, step.finished_at) == ("error", {"message": "boom"}, None)
    assert (step.due_at - db.call("clock")).total_seconds() == 7


def test_the_last_attempt_is_shown(db: Session):
    """Its times and its runner."""
    task = db.run_with("a")
    db.fail(db.claim_only("a"), retry_after="1 s")
    db.wait(1)
    other = db.register(name="other")
    claimed = db.claim_only("a", other)
    step = db.step(task, "a")
    assert (step.attempts, step.runner) == (2, "other")
    assert step.started_at == db.call("clock")
    db.complete(claimed)
    assert db.step(task, "a").runner == "other"


def test_the_task_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "get_task_steps", "task_id")
