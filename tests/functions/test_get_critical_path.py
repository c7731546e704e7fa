"""get_critical_path: which steps made a task as long as it was, and how each spent its time."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.session import Session
from .states import TASK_STATES, check_that_ids_are_needed, task_in


def path(db: Session, task: int) -> list[Any]:
    return list(db.call("get_critical_path", task_id=task))


def run(db: Session, step: str, *, wait: float = 0, work: float = 0) -> None:
    """The only ready step waits so long in the queue, then runs so long."""
    db.move_clock(wait)
    claimed = db.claim_only(step)
    db.move_clock(work)
    db.complete(claimed)


def test_the_columns(db: Session):
    """In the documented order."""
    task = db.run_with("a")
    db.settle(task)
    assert path(db, task)[0]._fields == (
        "place", "workflow_step_id", "name", "state", "attempts", "ready_at", "started_at",
        "finished_at", "wait_seconds", "run_seconds", "other_seconds", "share",
    )  # fmt: skip


def test_it_goes_through_the_parent_that_finished_last(db: Session):
    """The quick branch is not on it."""
    task = db.run_with("a->quick->z a->slow->z")
    run(db, "a", work=1)
    quick, slow = db.claim(2)
    db.move_clock(1)
    db.complete(quick)
    db.move_clock(4)
    db.complete(slow)
    run(db, "z", wait=3, work=1)
    rows = path(db, task)
    assert [(row.place, row.name) for row in rows] == [(1, "a"), (2, "slow"), (3, "z")]
    assert [row.run_seconds for row in rows] == [1, 5, 1]
    assert [row.wait_seconds for row in rows] == [0, 0, 3]
    assert [row.share for row in rows] == pytest.approx([0.1, 0.5, 0.4])
    assert rows[1].ready_at == rows[0].finished_at
    assert rows[0].ready_at == db.task(task).created_at


def test_backoff_is_neither_waiting_nor_work(db: Session):
    """Two attempts of two seconds, ten seconds apart, the second after one in the queue."""
    task = db.run_with("a")
    claimed = db.claim_only("a")
    db.move_clock(2)
    db.fail(claimed, retry_after="10 s")
    db.move_clock(10)
    db.call("maintain")
    run(db, "a", wait=1, work=2)
    [row] = path(db, task)
    assert (row.attempts, row.run_seconds, row.wait_seconds, row.other_seconds) == (2, 4, 1, 10)
    assert row.share == 1


def test_a_schedule_is_no_part_of_it(db: Session):
    """The clock of a task starts when it may start."""
    db.define("a")
    task = db.start(run_at=db.one("select clock() + interval '1 hour'"))
    db.wait(3600)
    run(db, "a", work=2)
    [row] = path(db, task)
    assert (row.run_seconds, row.share) == (2, 1)


def test_a_failed_step_can_be_its_end(db: Session):
    """What made it as long as it was is the failure."""
    task = db.run_with("a->b->c")
    run(db, "a", work=1)
    claimed = db.claim_only("b")
    db.move_clock(3)
    db.fail(claimed, retryable=False)
    assert [(row.name, row.state) for row in path(db, task)] == [("a", "complete"), ("b", "error")]


def test_of_a_task_that_runs_the_path_so_far(db: Session):
    """Nothing while nothing is over."""
    task = db.run_with("a->b->c")
    assert path(db, task) == []
    run(db, "a", work=1)
    db.claim_only("b")
    assert [row.name for row in path(db, task)] == ["a"]


@pytest.mark.parametrize("state", TASK_STATES)
def test_every_state(db: Session, state: str):
    """Has an answer; a path is connected and its shares are of the whole."""
    rows = path(db, task_in(db, state))
    assert [row.place for row in rows] == list(range(1, len(rows) + 1))
    assert all(row.share is None or 0 <= row.share <= 1 for row in rows)


def test_the_task_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "get_critical_path", "task_id")
