"""extend_step: a long attempt asks for more time, tells its progress, or both."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.session import Session


def extend(db: Session, claimed: Any, **more: Any) -> None:
    db.call(
        "extend_step",
        workflow_step_id=claimed.workflow_step_id,
        claim_id=claimed.claim_id,
        **more,
    )


def timed_out(db: Session, task: int) -> bool:
    return any(entry.to_state == "error" for entry in db.history(task))


def test_the_timeout_counts_anew_from_now(db: Session):
    """What was left of the old one is replaced."""
    task = db.run_with("a", a={"timeout": 10})
    claimed = db.claim_only("a")
    db.wait(10)
    extend(db, claimed, timeout="60 s")
    db.wait(60)
    assert not timed_out(db, task)
    db.wait(15)
    assert timed_out(db, task)


def test_a_step_without_a_timeout_gets_one(db: Session):
    """A handler may bound itself."""
    task = db.run_with("a")
    extend(db, db.claim_only("a"), timeout="10 s")
    db.wait(25)
    assert timed_out(db, task)


def test_progress_is_shown(db: Session):
    """The last word counts, and a null leaves it."""
    task = db.run_with("a")
    claimed = db.claim_only("a")
    extend(db, claimed, progress={"done": 1})
    extend(db, claimed, timeout="60 s")
    assert db.step(task, "a").progress == {"done": 1}
    extend(db, claimed, progress={"done": 2})
    assert db.step(task, "a").progress == {"done": 2}


def test_progress_alone_leaves_the_timeout(db: Session):
    """Telling how far it is buys no time."""
    task = db.run_with("a", a={"timeout": 10})
    claimed = db.claim_only("a")
    db.wait(5)
    extend(db, claimed, progress={"done": 1})
    db.wait(15)
    assert timed_out(db, task)


def test_it_is_no_transition(db: Session):
    """The log of a long step does not grow."""
    task = db.run_with("a")
    claimed = db.claim_only("a")
    before = db.history(task)
    extend(db, claimed, timeout="60 s", progress={"done": 1})
    assert db.history(task) == before


@pytest.mark.parametrize("end", ["complete", "fail", "release"])
def test_a_claim_that_is_over_is_lost(db: Session, end: str):
    """TK001: the handler should stop."""
    db.run_with("a")
    claimed = db.claim_only("a")
    getattr(db, end)(claimed)
    with db.refused("TK001"):
        extend(db, claimed, timeout="60 s")


def test_a_cancelled_task_loses_its_claims(db: Session):
    """A handler that extends learns of the cancelling here."""
    task = db.run_with("a")
    claimed = db.claim_only("a")
    db.call("cancel_task", task_id=task)
    with db.refused("TK001", "cancelled"):
        extend(db, claimed, progress={"done": 1})


BAD = {
    "a null step": ({"workflow_step_id": None}, "22004"),
    "a null claim": ({"claim_id": None}, "22004"),
    "an unknown step": ({"workflow_step_id": 987654321}, "P0002"),
    "an unknown claim": ({"claim_id": 987654321}, "TK001"),
    "a timeout of nothing": ({"timeout": "0 s"}, "22023"),
    "a negative timeout": ({"timeout": "-1 s"}, "22023"),
    "an endless timeout": ({"timeout": "100000 years"}, "22023"),
    "too much progress": ({"progress": {"x": "y" * 100}}, "54000"),
}


@pytest.mark.parametrize(("asked", "sqlstate"), BAD.values(), ids=BAD)
def test_bad_input_is_refused(db: Session, asked: dict[str, Any], sqlstate: str):
    """And the attempt goes on as before."""
    db.call("set_setting", name="payload_limit", value="100")
    db.run_with("a")
    claimed = db.claim_only("a")
    given = {
        "workflow_step_id": claimed.workflow_step_id,
        "claim_id": claimed.claim_id,
        "timeout": "60 s",
    }
    with db.refused(sqlstate):
        db.call("extend_step", **(given | asked))
    db.complete(claimed)
