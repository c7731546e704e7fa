"""fail_step: the attempt failed; the engine decides whether and when there is another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ..support.databases import Database
from ..support.session import Session


def seconds_until_due(db: Session, task: int, step: str) -> float:
    due_at = db.step(task, step).due_at
    assert due_at is not None
    return float((due_at - db.call("clock")).total_seconds())


def test_a_failed_step_waits_and_is_tried_again(db: Session):
    """It is ready when its backoff has elapsed, not earlier; it is the next attempt."""
    task = db.run_with("a", a={"backoff": {"base": 10, "jitter": False}})
    db.fail(db.claim_only("a"))
    assert db.steps_of(task) == {"a": "error"}
    assert db.state_of(task) == "in_progress"
    assert seconds_until_due(db, task, "a") == 20
    db.wait(19.9)
    assert db.claim(1) == []
    db.wait(0.1)
    assert db.claim_only("a").attempt == 2


@pytest.mark.parametrize("failure", range(1, 8))
def test_the_default_backoff(db: Session, failure: int):
    """Uniform in [2^(n-1), 2^n] seconds after the n-th failure, at most 30."""
    db.define("a", steps={"a": {"retry_limit": 100}})
    tasks = [db.start() for _ in range(20)]
    for _ in range(failure):
        db.wait(31)
        for step in db.claim(100):
            db.fail(step)
    waits = [seconds_until_due(db, task, "a") for task in tasks]
    assert min(30, 2 ** (failure - 1)) <= min(waits) <= max(waits) <= min(30, 2**failure)
    if failure < 5:
        assert len(set(waits)) > 1


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        ({"jitter": False}, [2, 4, 8, 16, 30, 30]),
        ({"jitter": False, "base": 5, "factor": 3, "max": 200}, [15, 45, 135, 200, 200]),
        ({"jitter": False, "factor": 1, "base": 7}, [7, 7, 7]),
        ({"jitter": False, "max": 3}, [2, 3, 3]),
        ({"jitter": False, "base": 0}, [0, 0]),
    ],
)
def test_a_configured_backoff(db: Session, backoff: dict[str, Any], expected: list[float]):
    """Without jitter it is the upper bound: base * factor^n, at most max."""
    task = db.run_with("a", a={"retry_limit": 100, "backoff": backoff})
    for seconds in expected:
        db.fail(db.claim_only("a"))
        assert seconds_until_due(db, task, "a") == seconds
        db.wait(seconds)


def test_jitter_stays_within_a_configured_maximum(db: Session):
    """The maximum bounds what is drawn."""
    backoff = {"base": 100, "max": 7}
    task = db.run_with("a", a={"backoff": backoff})
    db.fail(db.claim_only("a"))
    assert seconds_until_due(db, task, "a") <= 7


def test_the_delay_that_was_drawn_is_in_the_log(db: Session):
    """With the failure, so that nobody draws again."""
    task = db.run_with("a")
    db.fail(db.claim_only("a"))
    assert db.last_entry(task, "step", "a").due_at == db.step(task, "a").due_at


@pytest.mark.parametrize("asked", [0, 0.5, 17, 600])
def test_a_delay_that_the_handler_asks_for_replaces_the_backoff(db: Session, asked: float):
    """However short or long."""
    task = db.run_with("a")
    db.fail(db.claim_only("a"), retry_after=timedelta(seconds=asked))
    assert seconds_until_due(db, task, "a") == asked
    db.wait(asked)
    assert db.claim_only("a").attempt == 2


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_retry_limit_is_the_number_of_attempts_in_all(db: Session, limit: int):
    """The last failure is for good."""
    task = db.run_with("a", a={"retry_limit": limit})
    for attempt in range(1, limit + 1):
        claimed = db.claim_only("a")
        assert claimed.attempt == attempt
        db.fail(claimed)
        db.wait(31)
    assert db.claim(1) == []
    assert db.state_of(task) == "error"
    step = db.step(task, "a")
    assert (step.state, step.attempts, step.due_at) == ("error", limit, None)


def test_a_step_without_attempts_is_tried_once(db: Session):
    """The first attempt is always eligible."""
    task = db.run_with("a", a={"retry_limit": 0})
    db.fail(db.claim_only("a"))
    assert db.state_of(task) == "error"


@pytest.mark.parametrize(
    ("step", "report"), [({}, {"retryable": False}), ({"retryable": False}, {})]
)
def test_a_failure_that_is_not_retryable_is_for_good(
    db: Session, step: dict[str, Any], report: dict[str, Any]
):
    """Whether the step or the handler says so; a delay that is asked for changes nothing."""
    task = db.run_with("a", a=step)
    db.fail(db.claim_only("a"), **report, retry_after=timedelta(seconds=1))
    assert db.state_of(task) == "error"
    assert db.step(task, "a").due_at is None
    db.wait(60)
    assert db.claim(1) == []


def test_a_permanent_failure_does_not_stop_independent_branches(db: Session):
    """The task becomes an error when nothing more can run; descendants of the failure wait."""
    task = db.run_with("a->b->c x->y")
    for step in db.claim(2):
        if step.step_name == "a":
            db.fail(step, retryable=False)
        else:
            db.complete(step)
    assert db.state_of(task) == "in_progress"
    db.finish_step("y")
    row = db.task(task)
    assert (row.state, row.complete, row.failed_steps) == ("error", False, 1)
    assert db.steps_of(task) == {
        "a": "error", "b": "pending", "c": "pending", "x": "complete", "y": "complete"
    }  # fmt: skip


def test_the_error_is_kept(db: Session):
    """In the log, on the step and on the task by the step's name."""
    task = db.run_with("a")
    problem = {"type": "ValueError", "message": "no such order"}
    db.fail(db.claim_only("a"), problem, retryable=False)
    assert db.last_entry(task, "step", "a").error == problem
    assert db.step(task, "a").error == problem
    assert db.task(task).error == {"a": problem}


@pytest.mark.parametrize("error", ["boom", 7, [], {}])
def test_an_error_is_any_json(db: Session, error: Any):
    """A runner in another language says it in its own way."""
    task = db.run_with("a")
    db.fail(db.claim_only("a"), db.json(error))
    assert db.step(task, "a").error == error


def test_success_clears_the_error(db: Session):
    """The task has none any more; the step shows its last one, and the log has them all."""
    task = db.run_with("a", a={"backoff": {"base": 0}})
    db.fail(db.claim_only("a"))
    db.wait(1)
    db.finish_step("a")
    assert db.state_of(task) == "complete"
    assert not db.task(task).error
    assert db.step(task, "a").error == {"message": "boom"}
    assert [entry.error for entry in db.history(task) if entry.to_state == "error"] == [
        {"message": "boom"}
    ]


@pytest.mark.parametrize("again", ["complete", "fail", "release"])
def test_a_claim_ends_once(db: Session, again: str):
    """What is reported after the failure is lost."""
    db.run_with("a")
    claimed = db.claim_only("a")
    db.fail(claimed)
    with db.refused("TK001", f"{claimed.claim_id}.*error"):
        getattr(db, again)(claimed)


BAD = {
    "a null step": ({"workflow_step_id": None}, "22004"),
    "a null claim": ({"claim_id": None}, "22004"),
    "an unknown step": ({"workflow_step_id": 987654321}, "P0002"),
    "an unknown claim": ({"claim_id": 987654321}, "TK001"),
    "a null error": ({"error": None}, "22004"),
    "a null retryable": ({"retryable": None}, "22004"),
    "a negative delay": ({"retry_after": "-1 s"}, "22023"),
    "a delay beyond the calendar": ({"retry_after": "300000 years"}, "22023"),
}


@pytest.mark.parametrize(("asked", "sqlstate"), BAD.values(), ids=BAD)
def test_bad_input_is_refused(db: Session, asked: dict[str, Any], sqlstate: str):
    """And the step is still held."""
    db.run_with("a")
    claimed = db.claim_only("a")
    given = {
        "workflow_step_id": claimed.workflow_step_id,
        "claim_id": claimed.claim_id,
        "error": {"message": "boom"},
    }
    with db.refused(sqlstate):
        db.call("fail_step", **(given | asked))
    db.complete(claimed)


def test_an_error_above_the_payload_limit_is_refused(db: Session):
    """The step is still held and may fail with less to say."""
    db.call("set_setting", name="payload_limit", value="100")
    db.run_with("a")
    claimed = db.claim_only("a")
    with db.refused("54000", r"error.*\b100\b"):
        db.fail(claimed, {"traceback": "y" * 100})
    db.fail(claimed)


def test_two_last_failures_cannot_miss_each_other(database: Database):
    """Each sees the other's step running, and yet the task becomes an error."""
    first, second = database.connect("first"), database.connect("second")
    task = first.run_with("a b")
    mine, theirs = first.claim(2)
    first.begin()
    first.fail(mine, retryable=False)
    waiting = second.later(second.fail, theirs, retryable=False).blocked_by(first)
    first.commit()
    waiting.result()
    assert first.state_of(task) == "error"


def test_the_last_success_beside_an_open_failure_decides(database: Database):
    """Whichever of the two commits last."""
    first, second = database.connect("first"), database.connect("second")
    task = first.run_with("a b")
    mine, theirs = first.claim(2)
    first.begin()
    first.fail(mine, retryable=False)
    waiting = second.later(second.complete, theirs).blocked_by(first)
    first.commit()
    waiting.result()
    assert first.state_of(task) == "error"
