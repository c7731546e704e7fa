"""wake_up_channel: where a sleeping runner listens, and when it is told to look again."""

from __future__ import annotations

import pytest

from ..support.databases import Database
from ..support.session import Session


def sleep_on(session: Session, *queues: str) -> int:
    """A runner that found nothing and waits; it looked a moment ago."""
    runner = session.register(*queues)
    channel = session.call("wake_up_channel", runner_id=runner)
    session.run(f'listen "{channel}"')
    assert session.claim(1, runner) == []
    heard(session)
    return runner


def heard(session: Session) -> int:
    """How often the session was notified since the last question."""
    session.one("select 1")
    return len(list(session.conn.notifies(timeout=0)))


@pytest.fixture
def sleeper(database: Database) -> Session:
    session = database.connect("sleeper")
    database.main.define("a->b")
    sleep_on(session)
    return session


def test_a_runner_that_found_nothing_is_marked_waiting(sleeper: Session):
    """With the time at which it will look again."""
    [row] = sleeper.call("list_runners")
    assert row.waiting_until > sleeper.call("clock")


def test_a_runner_with_a_long_step_and_free_slots_is_woken_too(database: Database):
    """Once it has looked in vain with nothing to report, though it still holds the long step."""
    db, sleeper = database.main, database.connect("sleeper")
    db.run_with("a")
    runner = sleeper.register("default")
    channel = sleeper.call("wake_up_channel", runner_id=runner)
    sleeper.run(f'listen "{channel}"')
    assert len(sleeper.claim(2, runner)) == 1
    db.start()
    assert heard(sleeper) == 0
    assert len(sleeper.claim(2, runner)) == 1
    assert sleeper.claim(2, runner) == []
    db.start()
    assert heard(sleeper) == 1


def test_a_new_task_wakes_it(db: Session, sleeper: Session):
    """At the commit, and it finds the step."""
    db.begin()
    db.start()
    assert heard(sleeper) == 0
    db.commit()
    assert heard(sleeper) == 1


@pytest.mark.parametrize("verb", ["resume_task", "retry_task", "resume_queue"])
def test_whatever_makes_steps_ready_wakes_it(database: Database, verb: str):
    """Operators do so too."""
    db, sleeper = database.main, database.connect("sleeper")
    task = db.run_with("a")
    if verb == "retry_task":
        db.break_step("a")
    elif verb == "resume_task":
        db.call("pause_task", task_id=task)
    else:
        db.call("pause_queue", queue="default")
    sleep_on(sleeper)
    db.call(verb, **({"queue": "default"} if verb == "resume_queue" else {"task_id": task}))
    assert heard(sleeper) == 1


def test_a_retry_that_is_sooner_than_its_alarm_wakes_it(db: Session, sleeper: Session):
    """It would sleep past the due time."""
    db.start()
    heard(sleeper)
    claimed = db.claim_only("a")
    assert sleeper.claim(1, sleeper.one("select min(runner_id) from list_runners()")) == []
    heard(sleeper)
    db.fail(claimed, retry_after="1 s")
    assert heard(sleeper) == 1


def test_nobody_is_told_when_nobody_sleeps(database: Database):
    """NOTIFY is kept off the busy path."""
    db, busy = database.main, database.connect("busy")
    db.define("a")
    db.start()
    runner = busy.register()
    busy.run(f'listen "{busy.call("wake_up_channel", runner_id=runner)}"')
    assert len(busy.claim(1, runner)) == 1
    for _ in range(3):
        db.start()
    assert heard(busy) == 0


def test_other_queues_wake_others(database: Database):
    """A runner is told of its own queues only."""
    db, here, there = database.main, database.connect("here"), database.connect("there")
    db.define("a b", steps={"b": {"queue": "x"}})
    db.define("a", "one")
    sleep_on(here)
    sleep_on(there, "x")
    db.start("one")
    assert (heard(here), heard(there)) == (1, 0)


def test_one_of_many_is_woken(database: Database):
    """A hundred idle runners do not race for one step."""
    db = database.main
    db.define("a")
    sleepers = [database.connect(f"sleeper {number}") for number in range(4)]
    for sleeper in sleepers:
        sleep_on(sleeper)
    db.start()
    assert sum(map(heard, sleepers)) == 1


def test_the_one_that_is_woken_wakes_the_next(database: Database):
    """If work remains."""
    db, first, second = database.main, database.connect("first"), database.connect("second")
    db.define("a")
    runners = {session: sleep_on(session) for session in (first, second)}
    db.call("create_tasks", name="flow", contexts=[{}] * 5)
    woken = [session for session in runners if heard(session)]
    assert len(woken) == 1
    woken[0].claim(1, runners[woken[0]])
    [other] = runners.keys() - set(woken)
    assert heard(other) == 1


def test_a_runner_that_never_listens_takes_nobodys_place(database: Database):
    """It says so when it registers; the notification goes to one that hears it."""
    db, sleeper, poller = database.main, database.connect("sleeper"), database.connect("poller")
    db.define("a")
    sleep_on(sleeper)
    runner = poller.call("register_runner", name="poller", metadata={"listens": False})
    db.move_clock(1)
    poller.call("heartbeat", runner_id=runner)  # the latest would be chosen
    assert poller.claim(1, runner) == []
    db.start()
    assert heard(sleeper) == 1


def test_a_session_may_turn_notifying_off(db: Session, sleeper: Session):
    """PREPARE TRANSACTION refuses it; the poll finds the work all the same."""
    db.run("set pgtasker.notify = off")
    db.start()
    assert heard(sleeper) == 0
    assert sleeper.claim(1, sleeper.one("select min(runner_id) from list_runners()"))


def test_a_prepared_transaction_may_start_tasks(db: Session, sleeper: Session):
    """With notifying off."""
    if db.one("select current_setting('max_prepared_transactions')") == "0":
        pytest.skip("this server has no prepared transactions")
    db.run("set pgtasker.notify = off")
    db.begin()
    db.start()
    db.run("prepare transaction 'start'")
    db.run("commit prepared 'start'")
    assert db.claim_only("a")


def test_each_runner_has_its_channel(db: Session):
    """A plain name that fits LISTEN; null for no runner."""
    one = db.call("wake_up_channel", runner_id=db.register())
    two = db.call("wake_up_channel", runner_id=db.register())
    assert one != two
    assert len(one) < 64
    assert db.call("wake_up_channel", runner_id=None) is None
