"""deregister_runner: an orderly end; what was held goes back at once and costs no attempt."""

from __future__ import annotations

import pytest

from ..support.databases import Database
from ..support.session import Session


def test_held_steps_go_back_without_using_up_an_attempt(db: Session):
    """Another runner has them at once, as the same attempt."""
    task = db.run_with("a b c", a={"retry_limit": 1})
    leaving = db.register()
    held = db.claim(2, leaving)
    db.call("deregister_runner", runner_id=leaving)
    assert set(db.steps_of(task).values()) == {"pending"}
    assert [step.attempts for step in db.steps(task)] == [0, 0, 0]
    again = db.claim(3)
    assert {step.workflow_step_id for step in held} < {step.workflow_step_id for step in again}
    assert {step.attempt for step in again} == {1}


def test_the_log_says_why(db: Session):
    """And that the attempt does not count."""
    task = db.run_with("a")
    leaving = db.register()
    db.claim_only("a", leaving)
    db.call("deregister_runner", runner_id=leaving)
    entry = db.last_entry(task, "step", "a")
    assert (entry.from_state, entry.to_state) == ("in_progress", "pending")
    assert entry.attempt_counts is False
    assert "deregistered" in entry.reason


def test_it_is_listed_as_deregistered(db: Session):
    """With the time of its end."""
    leaving = db.register()
    db.move_clock(1)
    db.call("deregister_runner", runner_id=leaving)
    [row] = [row for row in db.call("list_runners") if row.runner_id == leaving]
    assert (row.state, row.held_steps, row.ended_at) == ("deregistered", 0, db.call("clock"))


def test_the_session_lock_goes(db: Session):
    """The connection may register again, and nothing is left of the first."""
    leaving = db.register()
    locks = "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
    held = db.one(locks)
    db.call("deregister_runner", runner_id=leaving)
    assert db.one(locks) == held - 1


def test_its_claims_are_lost(db: Session):
    """What was still running reports into the void, with TK001."""
    db.run_with("a")
    leaving = db.register()
    held = db.claim_only("a", leaving)
    db.call("deregister_runner", runner_id=leaving)
    with db.refused("TK001"):
        db.complete(held)


@pytest.mark.parametrize("runner", [None, 0, -1, 987654321])
def test_an_unknown_runner_is_refused(db: Session, runner: int | None):
    """TK004, or a missing value."""
    with db.refused("TK004|22004", "runner"):
        db.call("deregister_runner", runner_id=runner)


def test_a_runner_ends_once(db: Session):
    """The second time it is unknown to be alive."""
    leaving = db.register()
    db.call("deregister_runner", runner_id=leaving)
    with db.refused("TK004", "deregistered"):
        db.call("deregister_runner", runner_id=leaving)


def test_a_claim_in_flight_waits_and_is_refused(database: Database):
    """The other connection of the same runner cannot slip in afterwards."""
    control, work = database.connect("control"), database.connect("work")
    control.run_with("a")
    leaving = control.register()
    control.begin()
    control.call("deregister_runner", runner_id=leaving)
    waiting = work.later(work.claim, 1, leaving).blocked_by(control)
    control.commit()
    with database.main.refused("TK004"):
        waiting.result()


def test_it_waits_for_a_claim_that_came_first(database: Database):
    """And hands that back too."""
    control, work = database.connect("control"), database.connect("work")
    task = control.run_with("a")
    leaving = control.register()
    work.begin()
    work.claim_only("a", leaving)
    waiting = control.later(control.call, "deregister_runner", runner_id=leaving).blocked_by(work)
    work.commit()
    waiting.result()
    assert control.step(task, "a").state == "pending"
