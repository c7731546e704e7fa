"""get_task_execution_context_batch: how several tasks stand, in one call."""

from __future__ import annotations

from ..support.session import Session
from .states import TASK_STATES, a_task_in_every_state


def test_it_is_the_single_function_for_each(db: Session):
    """In every state of a task, ordered by task."""
    tasks = a_task_in_every_state(db)
    rows = db.call("get_task_execution_context_batch", task_ids=[*reversed(tasks), tasks[0]])
    assert rows == [
        row for t in sorted(tasks) for row in db.call("get_task_execution_context", task_id=t)
    ]
    status = {row.task_id: row.status for row in rows}
    assert [status[task] for task in tasks] == list(TASK_STATES)


def test_unknown_ids_have_no_rows(db: Session):
    """Whoever read a list a moment ago made no mistake."""
    task = db.run_with("a")
    rows = db.call("get_task_execution_context_batch", task_ids=[task, 987654321, None])
    assert [row.task_id for row in rows] == [task]
    assert db.call("get_task_execution_context_batch", task_ids=[]) == []


def test_no_list_is_refused(db: Session):
    """Null is not every task."""
    with db.refused("22004", "task_ids"):
        db.call("get_task_execution_context_batch", task_ids=None)
