"""maintain: what time brings about; any runner calls it, and so may a cron job."""

from __future__ import annotations

import pytest

from ..support.databases import Database
from ..support.session import Session


def test_it_says_when_it_has_something_to_do(db: Session):
    """A time that is never null and never long past."""
    assert db.call("maintain") > db.call("clock")
    db.run_with("a")
    db.claim_only("a")
    assert db.call("maintain") > db.call("clock")


def test_what_is_due_next_bounds_the_answer(db: Session):
    """A caller that sleeps until then misses nothing."""
    db.define("a")
    run_at = db.one("select clock() + interval '0.3 s'")
    db.start(run_at=run_at)
    assert db.call("clock") < db.call("maintain") <= run_at


@pytest.mark.parametrize("what", ["retry", "snooze", "run_at"])
def test_what_came_due_becomes_ready(db: Session, what: str):
    """Retries, released steps and delayed tasks alike."""
    db.define("a", steps={"a": {"backoff": {"base": 5, "jitter": False}}})
    if what == "run_at":
        db.start(run_at=db.one("select clock() + interval '10 s'"))
    else:
        db.start()
        claimed = db.claim_only("a")
        db.fail(claimed) if what == "retry" else db.release(claimed, delay="10 s")
    db.move_clock(9.9)
    db.call("maintain")
    assert db.claim(1) == []
    db.move_clock(0.1)
    db.call("maintain")
    assert db.claim_only("a")


def test_an_error_that_is_due_is_promoted_before_it_is_claimed(db: Session):
    """The log shows error, pending, in_progress."""
    task = db.run_with("a", a={"backoff": {"base": 1, "jitter": False}})
    db.fail(db.claim_only("a"))
    db.move_clock(2)
    db.call("maintain")
    db.claim_only("a")
    states = [entry.to_state for entry in db.history(task) if entry.entity == "step"]
    assert states == ["in_progress", "error", "pending", "in_progress"]


def test_many_due_steps_become_ready(db: Session):
    """In bounded batches; the answer is soon while there is more."""
    db.define("a")
    soon = db.one("select clock() + interval '1 s'")
    db.call("create_tasks", name="flow", contexts=[{}] * 3000, run_at=soon)
    db.move_clock(1)
    for _ in range(10):
        moment = db.call("maintain")
        db.move_clock(max(0.0, (moment - db.call("clock")).total_seconds()))
    assert len(db.claim(5000)) == 3000


def test_paused_work_does_not_come_due(db: Session):
    """It does when it is resumed."""
    db.define("a")
    task = db.start(run_at=db.one("select clock() + interval '1 s'"))
    db.call("pause_task", task_id=task)
    db.move_clock(2)
    db.call("maintain")
    assert db.claim(1) == []
    db.call("resume_task", task_id=task)
    assert db.claim_only("a")


# Runners that are gone


def test_an_expired_lease_gives_the_steps_to_others(db: Session):
    """At once and without backoff; the attempt counts."""
    task = db.run_with("a->b")
    silent = db.register(name="silent")
    held = db.claim_only("a", silent)
    db.move_clock(15.1)
    db.call("maintain")
    step = db.step(task, "a")
    assert (step.state, step.attempts, step.due_at) == ("pending", 1, None)
    [row] = [row for row in db.call("list_runners") if row.runner_id == silent]
    assert (row.state, row.held_steps) == ("lost", 0)
    assert db.claim_only("a").attempt == 2
    with db.refused("TK001"):
        db.complete(held)


def test_a_lost_last_attempt_is_a_failure(db: Session):
    """A step that kills its runner cannot loop for ever."""
    task = db.run_with("a", a={"retry_limit": 2})
    for _ in range(2):
        silent = db.register(name="silent")
        db.claim_only("a", silent)
        db.move_clock(15.1)
        db.call("maintain")
    assert db.step(task, "a").state == "error"
    assert db.step(task, "a").error
    assert db.state_of(task) == "error"


def test_a_lease_is_over_at_the_moment_at_which_it_ends(db: Session):
    """Not a microsecond earlier, and for a claim as for a takeover."""
    task = db.run_with("a b")
    silent = db.register(name="silent")
    db.claim(1, silent)
    [row] = db.call("list_runners")
    ends_in = (row.lease_expires_at - db.call("clock")).total_seconds()
    db.move_clock(ends_in - 0.000001)
    db.call("maintain")
    assert len(db.claim(1, silent)) == 1
    db.move_clock(0.000001)
    with db.refused("TK004", f"expired runner {silent}"):
        db.claim(1, silent)
    db.call("maintain")
    assert db.steps_of(task) == {"a": "pending", "b": "pending"}


def test_after_a_restart_of_the_server_a_runner_has_one_lease_to_come_back(db: Session):
    """From when somebody looked first, and to the very moment."""
    task = db.run_with("a")
    silent = db.register(name="silent")
    db.claim_only("a", silent)
    db.run("update runners set incarnation = incarnation - interval '1 day'")
    db.run("update housekeeping set incarnation = null")
    db.move_clock(60)
    db.call("maintain")
    db.move_clock(14.999999)
    db.call("maintain")
    assert db.steps_of(task) == {"a": "in_progress"}
    db.move_clock(0.000001)
    db.call("maintain")
    assert db.steps_of(task) == {"a": "pending"}


def test_an_expired_lease_overrides_a_held_lock(db: Session):
    """A process that hangs holds its connection, and yet loses its steps."""
    task = db.run_with("a")
    silent = db.register()
    db.claim_only("a", silent)
    db.move_clock(16)
    db.call("maintain")
    assert db.steps_of(task) == {"a": "pending"}


def test_a_runner_that_beats_keeps_its_steps(db: Session):
    """For any length of time."""
    task = db.run_with("a")
    db.claim_only("a")
    for _ in range(20):
        db.move_clock(5)
        db.call("heartbeat", runner_id=db.runner)
        db.call("maintain")
    assert db.steps_of(task) == {"a": "in_progress"}


def test_steps_of_a_killed_process_run_elsewhere_soon(database: Database):
    """Within 2.5 seconds at defaults, if somebody calls maintain when it says."""
    victim, db = database.connect("victim"), database.main
    task = db.run_with("a")
    runner = victim.register()
    victim.claim_only("a", runner)
    db.call("maintain")
    victim.die()
    died_at = db.call("clock")
    again_at = db.call("maintain")
    while db.step(task, "a").state == "in_progress":
        db.move_clock((again_at - db.call("clock")).total_seconds())
        again_at = db.call("maintain")
    assert (db.call("clock") - died_at).total_seconds() <= 2.5
    assert db.step(task, "a").attempts == 1


@pytest.mark.parametrize("others", [1, 5, 50])
def test_a_suspicion_is_confirmed_as_soon_as_it_can_be(database: Database, others: int):
    """By whoever noted it, however many runners there are to take turns."""
    victim, db = database.connect("victim"), database.main
    task = db.run_with("a")
    runner = victim.register()
    victim.claim_only("a", runner)
    for number in range(others):
        db.register(name=f"other {number}")
    victim.die()
    db.move_clock(1)
    noted_at, again_at = db.call("clock"), db.call("maintain")
    while db.steps_of(task) == {"a": "in_progress"}:
        db.move_clock((again_at - db.call("clock")).total_seconds())
        again_at = db.call("maintain")
    assert (db.call("clock") - noted_at).total_seconds() <= 1


def test_a_free_lock_is_only_a_suspicion(database: Database):
    """Connections die while their runner lives: a heartbeat in between clears it."""
    old, db = database.connect("old"), database.main
    task = db.run_with("a")
    runner = old.register()
    old.claim_only("a", runner)
    old.die()
    new = database.connect("new")
    for _ in range(10):
        db.call("maintain")
        db.move_clock(0.9)
        new.call("heartbeat", runner_id=runner)
    assert db.steps_of(task) == {"a": "in_progress"}


def test_a_takeover_waits_for_a_claim_that_came_first(database: Database):
    """And takes what it claimed too, at the latest with the next call."""
    work, db = database.connect("work"), database.main
    task = db.run_with("a")
    runner = db.register()
    work.begin()
    work.claim_only("a", runner)
    db.move_clock(16)
    db.call("maintain")
    work.commit()
    db.call("maintain")
    assert db.steps_of(task) == {"a": "pending"}


# Attempts that hang


def test_a_timeout_is_a_failure(db: Session):
    """The runner ends it first; the database a margin later, for a handler that hangs."""
    task = db.run_with("a", a={"timeout": 10, "retry_limit": 2})
    held = db.claim_only("a")
    db.move_clock(10)
    db.call("heartbeat", runner_id=db.runner)
    db.call("maintain")
    assert db.step(task, "a").state == "in_progress"
    db.move_clock(3)
    db.call("maintain")
    step = db.step(task, "a")
    assert (step.state, step.attempts) == ("error", 1)
    assert "imeout" in str(step.error)
    assert 1 <= (step.due_at - db.call("clock")).total_seconds() <= 2
    with db.refused("TK001"):
        db.complete(held)
    assert db.call("heartbeat", runner_id=db.runner, held=[held.claim_id]) == [held.claim_id]


def test_a_timeout_of_the_last_attempt_is_for_good(db: Session):
    """As every failure is."""
    task = db.run_with("a", a={"timeout": 1, "retry_limit": 1})
    db.claim_only("a")
    db.move_clock(4)
    db.call("maintain")
    assert db.state_of(task) == "error"


def test_a_step_without_a_timeout_runs_on(db: Session):
    """There is none unless the definition says so."""
    task = db.run_with("a")
    db.claim_only("a")
    db.call("set_setting", name="lease", value="10 days")
    db.call("heartbeat", runner_id=db.runner)
    db.move_clock(86_400)
    db.call("maintain")
    assert db.steps_of(task) == {"a": "in_progress"}


# Housekeeping


def test_runners_that_ended_are_forgotten_after_a_while(db: Session):
    """The list does not grow for ever; the log keeps its actors."""
    gone = db.register()
    db.call("deregister_runner", runner_id=gone)
    db.move_clock(3600)
    db.call("maintain")
    assert [row.runner_id for row in db.call("list_runners")] == [gone]
    db.move_clock(90_000)
    db.call("maintain")
    assert db.call("list_runners") == []


def test_two_at_once_do_not_wait_for_each_other(database: Database):
    """One does the work, the other finds it taken and returns."""
    first, second = database.connect("first"), database.connect("second")
    first.define("a")
    first.start(run_at=first.one("select clock() + interval '1 s'"))
    first.run_with("b")
    silent = first.register()
    first.claim(1, silent)
    first.move_clock(20)
    first.begin()
    first.call("maintain")
    assert second.call("maintain") is not None
    first.commit()


def test_calling_it_again_changes_nothing(db: Session):
    """What was due is done."""
    db.run_with("a")
    db.fail(db.claim_only("a"))
    db.move_clock(5)
    db.call("maintain")
    before = db.history(1)
    db.call("maintain")
    assert db.history(1) == before
