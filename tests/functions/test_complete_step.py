"""complete_step: the attempt succeeded; its results go to the children."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.databases import Database
from ..support.session import Session


def test_a_child_is_ready_when_its_last_parent_is_complete(db: Session):
    """Not before."""
    task = db.run_with("a->c b->c")
    first, second = db.claim(2)
    db.complete(first)
    assert db.claim(1) == []
    db.complete(second)
    assert db.claim_only("c")
    assert db.steps_of(task) == {"a": "complete", "b": "complete", "c": "in_progress"}


def test_the_last_step_completes_the_task(db: Session):
    """With the results of its leaves."""
    task = db.run_with("a->b a->c")
    db.finish_step("a", {"from": "a"})
    for step in db.claim(2):
        db.move_clock(1)
        db.complete(step, {"from": step.step_name})
    row = db.task(task)
    assert (row.state, row.complete, row.processed_steps) == ("complete", True, 3)
    assert row.results == {"b": {"from": "b"}, "c": {"from": "c"}}
    assert row.finished_at == db.call("clock")


@pytest.mark.parametrize("results", [{}, {"x": [1, None]}, [], [1], "text", 7, 1.5, True, None])
def test_results_are_any_json(db: Session, results: Any):
    """They come back as they were given."""
    task = db.run_with("a->b")
    db.complete(db.claim_only("a"), db.json(results))
    assert db.step(task, "a").results == results
    assert db.claim_only("b").dependency_results == {"a": results}


def test_without_results(db: Session):
    """Null for whoever looks."""
    task = db.run_with("a->b")
    db.complete(db.claim_only("a"))
    assert db.step(task, "a").results is None
    assert db.claim_only("b").dependency_results == {"a": None}


def test_the_log_says_who_and_what(db: Session):
    """The runner is the actor, the results are in the entry."""
    task = db.run_with("a")
    db.complete(db.claim_only("a"), {"n": 1})
    entry = db.last_entry(task, "step", "a")
    assert (entry.from_state, entry.to_state) == ("in_progress", "complete")
    assert (entry.results, entry.attempts) == ({"n": 1}, 1)
    assert f"runner of {db.name}" in entry.actor


def test_a_step_that_completes_beside_a_failure_decides_too(db: Session):
    """The last one that could run turns the task into an error."""
    task = db.run_with("a b->c")
    running = {step.step_name: step for step in db.claim(2)}
    db.fail(running["a"], retryable=False)
    assert db.state_of(task) == "in_progress"
    db.complete(running["b"])
    db.finish_step("c")
    assert db.state_of(task) == "error"


@pytest.mark.parametrize("again", ["complete", "fail", "release"])
def test_a_claim_ends_once(db: Session, again: str):
    """Whatever is reported a second time is lost."""
    db.run_with("a")
    claimed = db.claim_only("a")
    db.complete(claimed)
    with db.refused("TK001", rf"{claimed.claim_id}.*complete"):
        getattr(db, again)(claimed)


def test_an_older_claim_of_the_same_step_is_lost(db: Session):
    """The attempt that followed it is not touched."""
    task = db.run_with("a")
    stale = db.claim_only("a")
    db.release(stale)
    db.claim_only("a")
    with db.refused("TK001", "in_progress"):
        db.complete(stale)
    assert db.steps_of(task) == {"a": "in_progress"}


def test_a_claim_of_another_step_is_lost(db: Session):
    """Both ids must fit."""
    db.run_with("a b")
    first, second = db.claim(2)
    with db.refused("TK001"):
        db.call(
            "complete_step",
            workflow_step_id=first.workflow_step_id,
            claim_id=second.claim_id,
        )


@pytest.mark.parametrize(
    ("step", "claim", "sqlstate"),
    [(None, 1, "22004"), (1, None, "22004"), (987654321, 1, "P0002"), (-1, 1, "P0002")],
)
def test_unknown_ids_are_refused(db: Session, step: int | None, claim: int | None, sqlstate: str):
    """Null and unknown alike."""
    with db.refused(sqlstate):
        db.call("complete_step", workflow_step_id=step, claim_id=claim)


def test_results_above_the_payload_limit_are_refused(db: Session):
    """The step is still held and may be failed or completed with less."""
    db.call("set_setting", name="payload_limit", value="100")
    task = db.run_with("a")
    claimed = db.claim_only("a")
    with db.refused("54000", r"results.*\b100\b"):
        db.complete(claimed, {"x": "y" * 100})
    db.complete(claimed, {"x": "y"})
    assert db.state_of(task) == "complete"


def test_two_last_finishers_cannot_miss_each_other(database: Database):
    """Each sees the other's step unfinished, and yet the task completes."""
    first, second = database.connect("first"), database.connect("second")
    task = first.run_with("a b")
    mine, theirs = first.claim(2)
    first.begin()
    first.complete(mine)
    waiting = second.later(second.complete, theirs).blocked_by(first)
    first.commit()
    waiting.result()
    assert first.state_of(task) == "complete"


def test_two_parents_at_once_free_their_child_once(database: Database):
    """The second waits for the child's row, then sees the first one's work."""
    first, second = database.connect("first"), database.connect("second")
    first.run_with("a->c b->c")
    mine, theirs = first.claim(2)
    first.begin()
    first.complete(mine)
    waiting = second.later(second.complete, theirs).blocked_by(first)
    first.commit()
    waiting.result()
    assert first.claim_only("c")


def test_two_reports_of_one_claim(database: Database):
    """One counts, the other is lost."""
    first, second = database.connect("first"), database.connect("second")
    task = first.run_with("a")
    claimed = first.claim_only("a")
    first.begin()
    first.complete(claimed, {"by": 1})
    waiting = second.later(second.complete, claimed, {"by": 2}).blocked_by(first)
    first.commit()
    with database.main.refused("TK001"):
        waiting.result()
    assert first.task(task).results == {"a": {"by": 1}}
