"""The tiers of views: active, recent and all show the same rows, each of other tasks."""

from __future__ import annotations

import pytest

from ..support.session import Session
from .states import TASK_STATES, task_in

QUESTIONS = ("step_readiness_statuses", "task_execution_contexts")
DAY = 86400


def tasks_in(db: Session, view: str) -> list[int]:
    return sorted(set(db.column(f"select task_id from {view}")))


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_columns_are_those_of_every_tier(db: Session, question: str):
    """One question, three tiers."""
    db.run_with("a")
    rows = [db.row(f"table {tier}{question}") for tier in ("active_", "recent_", "")]
    assert rows[0] == rows[1] == rows[2]
    assert rows[0]._fields == rows[1]._fields == rows[2]._fields


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("state", TASK_STATES)
def test_every_state_is_in_its_tiers(db: Session, question: str, state: str):
    """A task in error is active: it wants attention."""
    task = task_in(db, state)
    over = state in ("complete", "cancelled", "resolved_manually")
    assert tasks_in(db, f"active_{question}") == ([] if over else [task])
    assert tasks_in(db, f"recent_{question}") == tasks_in(db, question) == [task]


@pytest.mark.parametrize("question", QUESTIONS)
def test_recent_are_the_tasks_of_the_last_days(db: Session, question: str):
    """Thirty, unless the setting says otherwise; finished or not."""
    old, older = db.run_with("a"), db.start()
    db.settle(older)
    db.move_clock(30 * DAY)
    assert tasks_in(db, f"recent_{question}") == [old, older]
    db.move_clock(1)
    new = db.start()
    assert tasks_in(db, f"recent_{question}") == [new]
    db.call("set_setting", name="recent_days", value="31")
    assert tasks_in(db, f"recent_{question}") == [old, older, new]
    db.call("set_setting", name="recent_days", value="1000000000")
    assert tasks_in(db, f"recent_{question}") == [old, older, new]
    assert tasks_in(db, question) == [old, older, new]


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_failed_comes_after_what_is_at_work(db: Session, question: str):
    """So that a limit is reached among live tasks, however many wait for attention."""
    db.define("a->b")
    failed = [db.start() for _ in range(3)]
    for step in db.claim(3):
        db.fail(step, retryable=False)
    live = db.start()
    found = db.column(f"select task_id from active_{question}")
    assert found[0] == live
    assert sorted(set(found)) == [*failed, live]


def test_views_show_one_moment(db: Session):
    """A promotion that has not happened yet does not hide what is due."""
    task = db.run_with("a")
    db.fail(db.claim_only("a"), retry_after="5 s")
    db.move_clock(5)
    row = db.row("table active_step_readiness_statuses")
    assert (row.task_id, row.current_state, row.ready_for_execution) == (task, "error", True)
    db.call("maintain")
    row = db.row("table active_step_readiness_statuses")
    assert (row.current_state, row.ready_for_execution) == ("pending", True)
