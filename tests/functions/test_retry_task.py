"""retry_task: every failed step of the task starts a new round of attempts, now."""

from __future__ import annotations

import pytest

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


def test_a_failed_task_goes_back_to_work(db: Session):
    """Every failed step is ready; the others wait for their parents as before."""
    task = db.run_with("a->b x->y")
    assert db.settle(task, broken=["a", "x"]) == "error"
    db.call("retry_task", task_id=task)
    assert db.state_of(task) == "pending"
    assert db.steps_of(task) == {"a": "pending", "b": "pending", "x": "pending", "y": "pending"}
    assert db.settle(task) == "complete"


def test_a_new_round_has_all_its_attempts(db: Session):
    """The limit holds per round; backoff begins anew."""
    task = db.run_with("a", a={"retry_limit": 2, "backoff": {"jitter": False}})
    assert db.settle(task, flaky=["a"]) == "error"
    db.call("retry_task", task_id=task)
    first = db.claim_only("a")
    assert first.attempt == 1
    db.fail(first)
    due_at = db.step(task, "a").due_at
    assert (due_at - db.call("clock")).total_seconds() == 2
    db.move_clock(2)
    db.call("maintain")
    assert db.claim_only("a").attempt == 2


def test_what_is_complete_stays_complete(db: Session):
    """Only failed steps run again."""
    task = db.run_with("a->b->c")
    assert db.settle(task, broken=["b"]) == "error"
    db.call("retry_task", task_id=task)
    assert db.claim_only("b").dependency_results == {"a": {"from": "a"}}


def test_a_task_in_which_other_branches_run_can_be_retried(db: Session):
    """It need not be stuck before somebody helps."""
    task = db.run_with("a x")
    running = {step.step_name: step for step in db.claim(2)}
    db.fail(running["a"], retryable=False)
    db.call("retry_task", task_id=task)
    assert db.steps_of(task) == {"a": "pending", "x": "in_progress"}
    db.complete(running["x"])
    db.finish_step("a")
    assert db.state_of(task) == "complete"


@refuses_every_state_but("error", of=TASK_STATES)
def test_a_task_without_a_failure_is_refused(db: Session, state: str):
    """There is nothing to retry."""
    task = task_in(db, state)
    with db.refused("55000", f"{task}"):
        db.call("retry_task", task_id=task)


def test_a_cancelled_step_is_no_failure_to_retry(db: Session):
    """It counts as one for those behind it, and stays cancelled."""
    task = db.run_with("a->b x")
    running = {step.step_name: step for step in db.claim(2)}
    db.run(
        "insert into workflow_step_transitions (workflow_step_id, to_state) values (%s, %s)",
        running["a"].workflow_step_id,
        "cancelled",
    )
    with db.refused("55000", f"{task}.*without a failed step"):
        db.call("retry_task", task_id=task)
    db.complete(running["x"])
    assert db.state_of(task) == "error"
    with db.refused("55000", f"{task} has nothing to retry"):
        db.call("retry_task", task_id=task)


def test_a_backoff_beside_a_failure_runs_on(db: Session):
    """Only what failed for good starts a new round."""
    task = db.run_with("a x", x={"backoff": {"jitter": False}})
    running = {step.step_name: step for step in db.claim(2)}
    db.fail(running["a"], retryable=False)
    db.fail(running["x"])
    due_at = db.step(task, "x").due_at
    db.call("retry_task", task_id=task)
    waiting = db.step(task, "x")
    assert (waiting.state, waiting.attempts, waiting.due_at) == ("error", 1, due_at)
    assert db.claim_only("a").attempt == 1


def test_a_retry_that_waits_for_its_backoff_is_no_failure_yet(db: Session):
    """It comes by itself; retry_step brings it forward."""
    task = db.run_with("a")
    db.fail(db.claim_only("a"))
    with db.refused("55000", f"{task}"):
        db.call("retry_task", task_id=task)


@by_someone
def test_actor_and_reason_are_in_the_log(db: Session, by: dict[str, str]):
    """Of the task and of the steps."""
    task = task_in(db, "error")
    db.call("retry_task", task_id=task, **by)
    check_who(db, db.last_entry(task), by)
    check_who(db, db.last_entry(task, "step", "a"), by)
    assert db.last_entry(task, "step", "a").attempts == 0


def test_the_task_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "retry_task", "task_id")


def test_again_and_again(db: Session):
    """Any number of rounds."""
    task = db.run_with("a", a={"retry_limit": 1})
    for _ in range(5):
        assert db.settle(task, flaky=["a"]) == "error"
        db.call("retry_task", task_id=task)
    assert db.settle(task) == "complete"


# A context that did not fit


def unfit_task(db: Session, edges: str = "a->b") -> int:
    """A task without the order_id that its workflow asks for."""
    db.define(edges, context_schema={"required": ["order_id"]})
    task = db.start()
    assert db.state_of(task) == "error"
    return task


def test_a_context_that_still_does_not_fit_fails_again(db: Session):
    """At once and in the same words; the log tells of the retry and of the failure."""
    task = unfit_task(db)
    error = db.task(task).error
    db.call("retry_task", task_id=task, actor="ann", reason="because")
    assert db.task(task).error == error
    assert db.claim(1) == []
    for entity in ("task", "step"):
        told = [entry for entry in db.history(task) if entry.entity == entity]
        assert [(entry.to_state, entry.actor, entry.reason) for entry in told] == [
            ("error", "engine", None),
            ("pending", "ann", "because"),
            ("error", "engine", None),
        ]


@pytest.mark.parametrize("schema", [{"required": ["id"]}, {"type": "object"}, None])
def test_a_context_is_checked_by_the_schema_that_is_stored_by_now(db: Session, schema: object):
    """Registering a corrected one, or none, and retrying lets the task run."""
    task = unfit_task(db)
    db.define("a->b", context_schema=schema)
    db.call("retry_task", task_id=task)
    fits = schema != {"required": ["id"]}
    assert db.state_of(task) == ("pending" if fits else "error")
    assert ("context.id" in str(db.task(task).error)) == (not fits)
    assert db.settle(task) == ("complete" if fits else "error")


@pytest.mark.parametrize("failed_by", ["handler", "person"])
def test_what_failed_otherwise_is_not_checked_by_a_later_schema(db: Session, failed_by: str):
    """The task keeps what it started with; a handler may complain in the same words."""
    db.define("a->b")
    task = db.start()
    if failed_by == "handler":
        db.fail(db.claim_only("a"), {"type": "InvalidContext", "message": "m"}, retryable=False)
    else:
        db.run(
            "insert into workflow_step_transitions (workflow_step_id, to_state, error)"
            """ values (%s, 'error', '{"type": "Unwanted"}')""",
            db.step_id(task, "a"),
        )
    db.define("a->b", context_schema={"required": ["order_id"]})
    db.call("retry_task", task_id=task)
    assert db.settle(task) == "complete"


def test_only_what_failed_for_its_context_fails_again(db: Session):
    """What an operator freed by hand runs on beside it."""
    task = unfit_task(db, "a->b x->y")
    db.call("resolve_step", workflow_step_id=db.step_id(task, "a"))
    assert db.steps_of(task) == {
        "a": "resolved_manually",
        "b": "pending",
        "x": "error",
        "y": "pending",
    }
    db.call("retry_task", task_id=task)
    assert db.steps_of(task) == {
        "a": "resolved_manually",
        "b": "pending",
        "x": "error",
        "y": "pending",
    }
    assert db.state_of(task) == "pending"
    db.finish_step("b")
    assert db.state_of(task) == "error"


@pytest.mark.parametrize("second_verb", ["retry_task", "cancel_task", "resolve_task"])
def test_two_operators_at_once(database: Database, second_verb: str):
    """The second one finds what the first one made of it."""
    first, second = database.connect("first"), database.connect("second")
    task = task_in(first, "error")
    first.begin()
    first.call("retry_task", task_id=task)
    waiting = second.later(second.call, second_verb, task_id=task).blocked_by(first)
    first.commit()
    if second_verb == "cancel_task":
        waiting.result()
        assert first.state_of(task) == "cancelled"
    else:
        with database.main.refused("55000"):
            waiting.result()
        assert first.state_of(task) == "pending"
