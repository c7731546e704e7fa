"""task_workflow_summaries: what could be done in each unfinished task, and what holds it back."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.session import Session
from .states import TASK_STATES, task_in
from .test_get_task_execution_context import COLUMNS as CONTEXT

COLUMNS = (
    *CONTEXT, "workflow_efficiency", "parallelism_potential", "max_dependency_depth",
    "parallel_branches", "root_step_ids", "ready_step_ids", "blocked_step_ids", "blocking_reasons",
)  # fmt: skip


def summary(db: Session, task: int) -> Any:
    return db.row("select * from task_workflow_summaries where task_id = %s", task)


def names(db: Session, task: int, step_ids: list[int]) -> str:
    known = {step.workflow_step_id: step.name for step in db.steps(task)}
    return " ".join(known[step] for step in step_ids)


def test_the_columns(db: Session):
    """Those of the context first, with the same values."""
    task = db.run_with("a->b")
    row = summary(db, task)
    assert row._fields == COLUMNS
    assert list(row[: len(CONTEXT)]) == list(db.row("table active_task_execution_contexts"))


@pytest.mark.parametrize("state", TASK_STATES)
def test_only_unfinished_tasks_have_one(db: Session, state: str):
    """What is over has nothing left to do."""
    task = task_in(db, state)
    found = db.column("select task_id from task_workflow_summaries")
    assert found == ([task] if state in ("pending", "in_progress", "error") else [])


def test_optimal(db: Session):
    """Something is ready, and nothing failed."""
    row = summary(db, db.run_with("a->b"))
    assert (row.workflow_efficiency, row.parallelism_potential) == ("optimal", "sequential_only")


def test_recovering(db: Session):
    """Something is ready beside a failure."""
    task = db.run_with("a b")
    db.fail(db.claim(1)[0])
    assert summary(db, task).workflow_efficiency == "recovering"


def test_processing(db: Session):
    """Something runs, and nothing else could."""
    task = db.run_with("a->b")
    db.claim_only("a")
    row = summary(db, task)
    assert (row.workflow_efficiency, row.parallelism_potential) == ("processing", "no_ready_work")


def test_blocked(db: Session):
    """A failure for good, and nothing can run."""
    task = db.run_with("a->b")
    db.break_step("a")
    row = summary(db, task)
    assert row.workflow_efficiency == "blocked"
    assert names(db, task, row.blocked_step_ids) == "a b"
    assert row.blocking_reasons == ["retry_not_eligible", "dependencies_not_satisfied"]


def test_waiting(db: Session):
    """For a time, or for a person."""
    task = db.run_with("a->b")
    db.fail(db.claim_only("a"), retry_after="7 s")
    row = summary(db, task)
    assert row.workflow_efficiency == "waiting"
    assert row.blocking_reasons == ["backoff", "dependencies_not_satisfied"]
    db.define("a", "other")
    scheduled = db.start("other", run_at=db.one("select clock() + interval '1 hour'"))
    assert summary(db, scheduled).blocking_reasons == ["scheduled"]
    paused = db.start("other")
    db.call("pause_task", task_id=paused)
    row = summary(db, paused)
    assert (row.workflow_efficiency, row.blocking_reasons) == ("waiting", ["paused"])


@pytest.mark.parametrize(
    ("steps", "potential"),
    [
        ("a", "sequential_only"),
        ("a b", "moderate_parallelism"),
        ("a b c d e", "moderate_parallelism"),
        ("a b c d e f", "high_parallelism"),
    ],
)
def test_how_many_could_run_at_once(db: Session, steps: str, potential: str):
    """More than five are many."""
    assert summary(db, db.run_with(steps)).parallelism_potential == potential


def test_roots_ready_and_blocked_steps(db: Session):
    """By id, each in ascending order."""
    task = db.run_with("a->c b->c c->d")
    db.complete(db.claim(1)[0])
    row = summary(db, task)
    assert names(db, task, row.root_step_ids) == "a b"
    assert names(db, task, row.ready_step_ids) == "b"
    assert names(db, task, row.blocked_step_ids) == "c d"
    assert row.blocking_reasons == ["dependencies_not_satisfied"] * 2


def test_the_shape_of_the_graph(db: Session):
    """Its deepest level, the roots being level 0, and how many steps its widest has."""
    row = summary(db, db.run_with("a->b b->c b->d b->e c->f"))
    assert (row.max_dependency_depth, row.parallel_branches) == (3, 3)


def test_it_prescribes_nothing(db: Session):
    """There is no strategy anywhere on the surface."""
    assert not db.column(
        "select attname::text from pg_attribute join pg_class on pg_class.oid = attrelid"
        " where relnamespace = %s::regnamespace and attname ~ 'strategy'",
        f'"{db.database.schema}"',
    )
