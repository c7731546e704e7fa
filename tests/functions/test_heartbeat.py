"""heartbeat: renews the lease, and compares what the runner holds with what the database knows."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.databases import Database
from ..support.session import Session


def lease(db: Session, runner: int) -> Any:
    return db.one("select lease_expires_at from list_runners() where runner_id = %s", runner)


def test_the_lease_is_renewed(db: Session):
    """From now, by the setting."""
    runner = db.register()
    db.move_clock(10)
    assert db.call("heartbeat", runner_id=runner) == []
    assert (lease(db, runner) - db.call("clock")).total_seconds() == 15
    db.move_clock(10)
    assert db.call("heartbeat", runner_id=runner) == []


def test_null_compares_nothing(db: Session):
    """The runner is in the middle of a claim and could not know."""
    task = db.run_with("a")
    db.claim_only("a")
    assert db.call("heartbeat", runner_id=db.runner, held=None) == []
    assert db.steps_of(task) == {"a": "in_progress"}


def test_what_is_held_by_both_is_nobodys_business(db: Session):
    """Nothing comes back and nothing goes back."""
    db.run_with("a b")
    held = [step.claim_id for step in db.claim(2)]
    before = db.rows("table workflow_steps")
    assert db.call("heartbeat", runner_id=db.runner, held=held) == []
    assert db.rows("table workflow_steps") == before


def test_a_claim_whose_answer_was_lost_goes_back(db: Session):
    """The database has it, the runner does not: it costs no attempt."""
    task = db.run_with("a b", a={"retry_limit": 1})
    lost, kept = sorted(db.claim(2), key=lambda step: step.step_name)
    assert db.call("heartbeat", runner_id=db.runner, held=[kept.claim_id]) == []
    assert db.steps_of(task) == {"a": "pending", "b": "in_progress"}
    again = db.claim_only("a")
    assert (again.attempt, again.claim_id != lost.claim_id) == (1, True)


def test_an_empty_list_gives_everything_back(db: Session):
    """Holding nothing is not the same as not comparing."""
    task = db.run_with("a b")
    db.claim(2)
    db.call("heartbeat", runner_id=db.runner, held=[])
    assert db.steps_of(task) == {"a": "pending", "b": "pending"}


@pytest.mark.parametrize(
    "end",
    [
        lambda db, step: db.call("cancel_task", task_id=step.task_id),
        lambda db, step: db.call("resolve_step", workflow_step_id=step.workflow_step_id),
        lambda db, step: db.complete(step),
        lambda db, step: db.fail(step),
        lambda db, step: db.release(step),
    ],
    ids=["cancelled", "resolved", "completed", "failed", "released"],
)
def test_a_claim_that_is_over_comes_back(db: Session, end: Any):
    """The runner should abandon it; one that is still good does not come back."""
    db.run_with("a")
    gone = db.claim_only("a")
    db.start()
    good = db.claim_only("a")
    end(db, gone)
    held = [gone.claim_id, good.claim_id]
    assert db.call("heartbeat", runner_id=db.runner, held=held) == [gone.claim_id]


def test_an_unknown_claim_comes_back(db: Session):
    """So does one that is another runner's."""
    db.run_with("a")
    other = db.register()
    theirs = db.claim_only("a", other)
    held = [theirs.claim_id, 987654321]
    assert sorted(db.call("heartbeat", runner_id=db.runner, held=held)) == sorted(held)
    assert db.call("heartbeat", runner_id=other, held=[theirs.claim_id]) == []


def test_a_null_claim_is_refused(db: Session):
    """Comparing with it would compare nothing."""
    db.run_with("a")
    db.claim_only("a")
    with db.refused("22004|22023", "held"):
        db.call("heartbeat", runner_id=db.runner, held=[None])


@pytest.mark.parametrize("runner", [None, 0, 987654321])
def test_an_unknown_runner_is_refused(db: Session, runner: int | None):
    """TK004: register again."""
    with db.refused("TK004|22004", "runner"):
        db.call("heartbeat", runner_id=runner)


def test_an_expired_runner_stays_dead(db: Session):
    """Whether or not somebody noticed in the meantime."""
    runner = db.register()
    db.move_clock(15.1)
    with db.refused("TK004", f"expired runner {runner}"):
        db.call("heartbeat", runner_id=runner)
    db.call("maintain")
    with db.refused("TK004", f"expired runner {runner}"):
        db.call("heartbeat", runner_id=runner)


def test_another_connection_takes_the_session_lock_over(database: Database):
    """After a reconnect the control connection is another one: no suspicion stays."""
    old, new, db = database.connect("old"), database.connect("new"), database.main
    task = db.run_with("a")
    runner = old.register()
    old.claim_only("a", runner)
    old.die()
    db.call("maintain")
    new.call("heartbeat", runner_id=runner)
    for _ in range(5):
        database.main.move_clock(1)
        db.call("maintain")
    assert db.steps_of(task) == {"a": "in_progress"}
    new.die()
    for _ in range(3):
        database.main.move_clock(1)
        db.call("maintain")
    assert db.steps_of(task) == {"a": "pending"}


def test_it_does_not_wait_for_a_claim_of_the_same_runner(database: Database):
    """The two connections of one runner do not stand in each other's way."""
    control, work = database.connect("control"), database.connect("work")
    control.run_with("a")
    runner = control.register()
    work.begin()
    work.claim_only("a", runner)
    assert control.call("heartbeat", runner_id=runner) == []
    work.commit()
