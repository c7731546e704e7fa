"""resolve_task: a person settled what a failed task was for."""

from __future__ import annotations

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


def test_a_failed_task_can_be_resolved(db: Session):
    """It is complete as a task; its steps stay as they are, and none of them runs."""
    task = task_in(db, "error")
    steps = db.steps_of(task)
    db.call("resolve_task", task_id=task)
    row = db.task(task)
    assert (row.state, row.complete) == ("resolved_manually", True)
    assert row.finished_at == db.call("clock")
    assert db.steps_of(task) == steps
    assert db.claim(10) == []


@refuses_every_state_but("error", of=TASK_STATES)
def test_any_other_state_is_refused(db: Session, state: str):
    """What is at work is cancelled, not resolved; what is over is over."""
    task = task_in(db, state)
    with db.refused("55000", f"{task}.*{state}"):
        db.call("resolve_task", task_id=task)


def test_a_paused_failure_can_be_resolved(db: Session):
    """It is not paused afterwards."""
    task = task_in(db, "error")
    db.call("pause_task", task_id=task)
    db.call("resolve_task", task_id=task)
    assert (db.state_of(task), db.task(task).paused) == ("resolved_manually", False)


def test_steps_of_a_resolved_task_are_not_touched_any_more(db: Session):
    """A final task is final for its steps too."""
    task = task_in(db, "error")
    db.call("resolve_task", task_id=task)
    step = db.step_id(task, "a")
    for verb in ("retry_step", "resolve_step", "skip_step"):
        with db.refused("55000"):
            db.call(verb, workflow_step_id=step)


@by_someone
def test_actor_and_reason_are_in_the_log(db: Session, by: dict[str, str]):
    """Who settled it, and how."""
    task = task_in(db, "error")
    db.call("resolve_task", task_id=task, **by)
    check_who(db, db.last_entry(task), by)


def test_the_task_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "resolve_task", "task_id")


def test_beside_a_retry_of_its_step(database: Database):
    """One of the two is refused."""
    first, second = database.connect("first"), database.connect("second")
    task = task_in(first, "error")
    step = first.step_id(task, "a")
    first.begin()
    first.call("resolve_task", task_id=task)
    waiting = second.later(second.call, "retry_step", workflow_step_id=step).blocked_by(first)
    first.commit()
    with database.main.refused("55000"):
        waiting.result()
