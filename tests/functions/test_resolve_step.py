"""resolve_step: a person did what the step was for; its children go on with the results given."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.databases import Database
from ..support.session import Session
from .states import (
    STEP_STATES,
    by_someone,
    check_that_ids_are_needed,
    check_who,
    refuses_every_state_but,
    step_in,
    task_of,
)


@pytest.mark.parametrize("state", ["pending", "in_progress", "backoff", "error"])
def test_an_unfinished_step_can_be_resolved(db: Session, state: str):
    """It satisfies its children, and is not run any more."""
    step = step_in(db, state)
    db.call("resolve_step", workflow_step_id=step)
    assert db.steps_of(task_of(db, step))["a"] == "resolved_manually"
    db.move_clock(60)
    db.call("set_setting", name="lease", value="1 hour")
    assert {claimed.step_name for claimed in db.claim(10, db.register())} == {"b", "x"}


@refuses_every_state_but("pending", "in_progress", "backoff", "error", of=STEP_STATES)
def test_a_finished_step_is_refused(db: Session, state: str):
    """It has its outcome."""
    step = step_in(db, state)
    with db.refused("55000", f"{step}.*{state}"):
        db.call("resolve_step", workflow_step_id=step)


@pytest.mark.parametrize("results", [{"n": 1}, [1], "text", 7, None])
def test_the_results_are_the_steps_own(db: Session, results: Any):
    """For its children and for whoever looks."""
    task = db.run_with("a->b c")
    db.call("resolve_step", workflow_step_id=db.step_id(task, "a"), results=db.json(results))
    db.call("resolve_step", workflow_step_id=db.step_id(task, "c"), results=db.json(results))
    assert db.step(task, "a").results == results
    b = db.claim_only("b")
    assert b.dependency_results == {"a": results}
    db.complete(b)
    assert db.task(task).results == {"b": None, "c": results}


def test_a_running_attempt_loses_its_claim(db: Session):
    """Its runner learns it by TK001."""
    task = db.run_with("a")
    held = db.claim_only("a")
    db.call("resolve_step", workflow_step_id=held.workflow_step_id)
    with db.refused("TK001", "resolved_manually"):
        db.complete(held)
    assert db.state_of(task) == "complete"


def test_a_failed_task_goes_on(db: Session):
    """The last failure resolved, it is at work again, or complete."""
    task = db.run_with("a->b c")
    assert db.settle(task, broken=["a"]) == "error"
    db.call("resolve_step", workflow_step_id=db.step_id(task, "a"))
    assert db.state_of(task) in ("pending", "in_progress")
    assert db.settle(task) == "complete"
    other = db.start()
    assert db.settle(other, broken=["a", "c"]) == "error"
    for name in ("a", "b", "c"):
        db.call("resolve_step", workflow_step_id=db.step_id(other, name))
    assert db.state_of(other) == "complete"


@pytest.mark.parametrize(
    ("edges", "states"),
    [
        ("a", ["in_progress", "error", "pending", "in_progress", "complete"]),
        ("a->b", ["in_progress", "error", "pending"]),
    ],
)
def test_the_log_tells_how_a_failed_task_went_on(db: Session, edges: str, states: list[str]):
    """Back to pending first, as the state machine asks, whether or not anything is left to run."""
    task = db.run_with(edges)
    db.break_step("a")
    db.call("resolve_step", workflow_step_id=db.step_id(task, "a"))
    assert [entry.to_state for entry in db.history(task) if entry.entity == "task"] == states


def test_a_resolved_failure_beside_another_leaves_the_error(db: Session):
    """A task is never left waiting for something that cannot happen."""
    task = db.run_with("a b")
    assert db.settle(task, broken=["a", "b"]) == "error"
    db.call("resolve_step", workflow_step_id=db.step_id(task, "a"))
    assert db.state_of(task) == "error"


def test_a_step_before_its_parents(db: Session):
    """Its parents still run; the task waits for them."""
    task = db.run_with("a->b->c")
    db.call("resolve_step", workflow_step_id=db.step_id(task, "b"))
    assert sorted(step.step_name for step in db.claim(10)) == ["a", "c"]
    assert db.state_of(task) == "in_progress"


def test_results_above_the_payload_limit_are_refused(db: Session):
    """As from a runner."""
    db.call("set_setting", name="payload_limit", value="100")
    step = step_in(db, "error")
    with db.refused("54000", r"results.*\b100\b"):
        db.call("resolve_step", workflow_step_id=step, results={"x": "y" * 100})


@by_someone
def test_actor_and_reason_are_in_the_log(db: Session, by: dict[str, str]):
    """Who did it by hand, and why."""
    step = step_in(db, "error")
    db.call("resolve_step", workflow_step_id=step, **by)
    check_who(db, db.last_entry(task_of(db, step), "step", "a"), by)


def test_the_step_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "resolve_step", "workflow_step_id")


@pytest.mark.parametrize("first_to_act", ["runner", "operator"])
def test_beside_a_completion(database: Database, first_to_act: str):
    """One of the two counts."""
    runner, operator = database.connect("runner"), database.connect("operator")
    task = runner.run_with("a->b")
    held = runner.claim_only("a")
    step = held.workflow_step_id
    if first_to_act == "runner":
        runner.begin()
        runner.complete(held)
        waiting = operator.later(operator.call, "resolve_step", workflow_step_id=step)
        waiting.blocked_by(runner)
        runner.commit()
        refusal, outcome = "55000", "complete"
    else:
        operator.begin()
        operator.call("resolve_step", workflow_step_id=step)
        waiting = runner.later(runner.complete, held).blocked_by(operator)
        operator.commit()
        refusal, outcome = "TK001", "resolved_manually"
    with database.main.refused(refusal):
        waiting.result()
    assert runner.steps_of(task) == {"a": outcome, "b": "pending"}
    assert runner.claim_only("b")
