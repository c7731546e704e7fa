"""NOTIFY is sent to one runner that sleeps, when there is something for it, and else never."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg.types.json import Jsonb

from ..support.databases import Database
from ..support.session import Row, Session
from .sleeper import Sleeper, asleep

PLAIN = {"backoff": {"base": 1, "jitter": False}}


@pytest.fixture
def sleeper(database: Database) -> Sleeper:
    """A runner of the default queue, asleep before anything happened."""
    return asleep(database)


def advance(db: Session, runner: int, claimed: Row, max_steps: int, **outcome: object) -> Row:
    line = {"workflow_step_id": claimed.workflow_step_id, "claim_id": claimed.claim_id, **outcome}
    return db.call("advance", runner_id=runner, outcomes=Jsonb([line]), max_steps=max_steps)


# What wakes


def create(db: Session) -> None:
    db.start()


def complete(db: Session) -> None:
    db.complete(db.claim_only("a"))


def release(db: Session) -> None:
    db.release(db.claim_only("a"))


def give_back(db: Session) -> None:
    db.claim_only("a")
    db.call("heartbeat", runner_id=db.runner, held=[])


def deregister(db: Session) -> None:
    db.claim_only("a")
    db.call("deregister_runner", runner_id=db.runner)


def retry(db: Session) -> None:
    db.break_step("a")
    db.call("retry_task", task_id=1)


def resume_task(db: Session) -> None:
    db.call("pause_task", task_id=1)
    db.call("resume_task", task_id=1)


def resume_queue(db: Session) -> None:
    db.call("pause_queue", queue="default")
    db.call("resume_queue", queue="default")


def skip(db: Session) -> None:
    db.call("skip_step", workflow_step_id=db.step_id(1, "a"))


def resolve(db: Session) -> None:
    db.call("resolve_step", workflow_step_id=db.step_id(1, "a"))


WAKING = [
    create, complete, release, give_back, deregister, retry, resume_task, resume_queue, skip,
    resolve,
]  # fmt: skip


@pytest.mark.parametrize("act", WAKING, ids=lambda act: act.__name__)
def test_whatever_makes_a_step_ready_wakes_a_sleeper(
    database: Database, act: Callable[[Session], None]
) -> None:
    """Once, at the commit; what is rolled back wakes nobody."""
    db = database.main
    db.run_with("a->b", a={"skippable": True})
    assert db.runner
    sleeper = Sleeper(database)
    db.call("pause_queue", queue="default")
    sleeper.look()
    db.call("resume_queue", queue="default")
    sleeper.heard()
    db.begin()
    act(db)
    assert sleeper.heard() == 0
    db.rollback()
    assert sleeper.heard() == 0
    with db.transaction():
        act(db)
    assert sleeper.heard() == 1


def test_nobody_is_told_when_nobody_sleeps(database: Database) -> None:
    """Whatever is done while every runner is at work."""
    db = database.main
    db.define("w")
    db.call("create_tasks", name="flow", contexts=[{}] * 2)
    busy = [Sleeper(database, name=f"busy {number}") for number in range(2)]
    for runner in busy:
        assert len(runner.look()) == 1
        assert runner.alarm() is None
    task = db.run_with("a->b")
    for act in (create, resume_task, resume_queue):
        if act is resume_task:
            db.call("pause_task", task_id=task)
            db.call("resume_task", task_id=task)
        else:
            act(db)
    db.call("cancel_task", task_id=task)
    assert [runner.heard() for runner in busy] == [0, 0]


def test_a_runner_that_got_all_it_asked_for_is_awake(database: Database, sleeper: Sleeper) -> None:
    """It will come again by itself."""
    db = database.main
    db.define("a")
    db.call("create_tasks", name="flow", contexts=[{}] * 2)
    assert len(sleeper.look()) == 1
    assert sleeper.alarm() is None
    db.start()
    assert sleeper.heard() == 0


# Who is woken


def test_a_batch_wakes_one_of_many(database: Database) -> None:
    """A hundred tasks in one call, five runners asleep."""
    db = database.main
    sleepers = [asleep(database, name=f"sleeper {number}") for number in range(5)]
    db.define("a->b c")
    db.call("create_tasks", name="flow", contexts=[{}] * 100)
    assert sorted(sleeper.heard() for sleeper in sleepers) == [0, 0, 0, 0, 1]


def test_each_that_is_woken_wakes_the_next_while_work_remains(database: Database) -> None:
    """And the one that takes the last does not."""
    db = database.main
    sleepers = [asleep(database, name=f"sleeper {number}") for number in range(4)]
    db.define("a")
    db.call("create_tasks", name="flow", contexts=[{}] * 5)
    awake: list[Sleeper] = []
    for _ in range(3):
        [woken] = [one for one in sleepers if one not in awake and one.heard()]
        awake.append(woken)
        assert len(woken.look(2)) == (1 if len(awake) == 3 else 2)
    assert [one.heard() for one in sleepers if one not in awake] == [0]


def test_each_queue_wakes_one_of_its_own(database: Database) -> None:
    """A runner of both may be told once for each."""
    db = database.main
    left, right = asleep(database, "left", name="left"), asleep(database, "right", name="right")
    other = asleep(database, "other", name="other")
    db.define("a b", steps={"a": {"queue": "left"}, "b": {"queue": "right"}})
    db.start()
    assert (left.heard(), right.heard(), other.heard()) == (1, 1, 0)


def test_one_whose_lease_ran_out_is_not_told(database: Database) -> None:
    """The one that lives is, though it slept in first."""
    db = database.main
    living = asleep(database, name="living")
    dead = asleep(database, name="dead")
    db.move_clock(14)
    db.call("heartbeat", runner_id=living.runner)
    db.move_clock(2)
    db.run_with("a")
    assert (living.heard(), dead.heard()) == (1, 0)


# Who reports takes what it made ready


def test_a_child_that_its_reporter_takes_wakes_nobody(database: Database, sleeper: Sleeper) -> None:
    """The busy path of a chain sends nothing at all."""
    db = database.main
    db.run_with("a->b->c")
    sleeper.heard()
    claimed = db.claim_only("a")
    sleeper.heard()
    assert advance(db, db.runner, claimed, 1, outcome="complete").claimed
    # It got all that it asked for: another may look whether there is more.
    assert sleeper.heard() <= 1
    claimed = db.row("select * from _held_claims")
    sleeper.look()
    assert advance(db, db.runner, claimed, 2, outcome="complete").claimed
    assert sleeper.heard() == 0


def test_what_its_reporter_leaves_wakes_another(database: Database, sleeper: Sleeper) -> None:
    """Three children, and it takes one."""
    db = database.main
    db.run_with("a->b a->c a->d")
    claimed = db.claim_only("a")
    sleeper.heard()
    assert len(advance(db, db.runner, claimed, 1, outcome="complete").claimed) == 1
    assert sleeper.heard() == 1


def test_what_its_reporter_does_not_ask_for_wakes_another(
    database: Database, sleeper: Sleeper
) -> None:
    """It reports and stops."""
    db = database.main
    db.run_with("a->b")
    claimed = db.claim_only("a")
    sleeper.heard()
    advance(db, db.runner, claimed, 0, outcome="complete")
    assert sleeper.heard() == 1


def test_children_in_queues_of_others_wake_these(database: Database) -> None:
    """The reporter cannot take them."""
    db = database.main
    reporter = db.register("default")
    other = asleep(database, "elsewhere")
    db.run_with("a->b", b={"queue": "elsewhere"})
    [claimed] = db.claim(1, reporter)
    advance(db, reporter, claimed, 5, outcome="complete")
    assert other.heard() == 1


# Times


@pytest.mark.parametrize(("delay", "told"), [(2, 1), (60, 0)], ids=["sooner", "later"])
@pytest.mark.parametrize("what", ["retry", "snooze", "run_at"])
def test_what_is_due_before_the_alarm_wakes(
    database: Database, what: str, delay: int, told: int
) -> None:
    """A sleeper would sleep past it; what is due later it finds when it looks by itself."""
    db = database.main
    db.define("a")
    if what != "run_at":
        db.start()
        claimed = db.claim_only("a")
    sleeper = asleep(database)
    if what == "run_at":
        db.start(run_at=db.one("select clock() + make_interval(secs => %s)", delay))
    elif what == "retry":
        db.fail(claimed, retry_after=f"{delay} s")
    else:
        db.release(claimed, delay=f"{delay} s")
    assert sleeper.heard() == told


def test_the_alarm_is_the_next_due_time_or_the_poll(database: Database) -> None:
    """Whichever is sooner."""
    db = database.main
    sleeper = asleep(database)
    assert sleeper.alarm() == 5
    db.define("a")
    db.start(run_at=db.one("select clock() + interval '3 s'"))
    sleeper.look()
    assert sleeper.alarm() == 3


def test_a_retry_of_a_runner_that_stays_busy_is_not_overslept(database: Database) -> None:
    """It cannot take at once what is due in a second: a sleeper is told."""
    db = database.main
    db.run_with("x y", x=PLAIN)
    reporter = db.register()
    x, _ = db.claim(2, reporter)
    sleeper = asleep(database)
    failure = {"outcome": "fail", "error": {"message": "boom"}, "retry_after": 1}
    advance(db, reporter, x, 1, **failure)
    assert sleeper.heard() == 1
    sleeper.look()
    assert sleeper.alarm() == 1


@pytest.mark.parametrize("what", ["retry", "lease", "timeout"])
def test_what_time_brings_about_wakes_too(database: Database, what: str) -> None:
    """Whoever calls maintain."""
    db = database.main
    db.run_with("a", a={**PLAIN, "timeout": 4, "backoff": {"base": 0}})
    holder = db.register(name="holder")
    [claimed] = db.claim(1, holder)
    if what == "retry":
        db.fail(claimed, retry_after="6 s")
    sleeper = asleep(database)
    for _ in range(3 if what == "lease" else 1):
        db.move_clock(7)
        for runner in (sleeper.runner, *([holder] if what != "lease" else [])):
            db.call("heartbeat", runner_id=runner)
        if what == "lease":
            db.call("extend_step", workflow_step_id=claimed.workflow_step_id,
                    claim_id=claimed.claim_id, timeout="60 s")  # fmt: skip
    sleeper.heard()
    db.call("maintain")
    assert sleeper.heard() == 1


# What gets lost


@pytest.mark.parametrize("how", ["lock", "lease"])
def test_a_takeover_passes_the_wake_up_on(database: Database, how: str) -> None:
    """It may have gone to the dead, with nobody else to hear it."""
    db = database.main
    heir = asleep(database, name="heir")
    db.move_clock(1)
    dead = asleep(database, name="dead")
    db.run_with("a")
    assert (heir.heard(), dead.heard()) == (0, 1)
    if how == "lock":
        dead.session.die()
    for _ in range(2 if how == "lock" else 4):
        db.move_clock(1 if how == "lock" else 5)
        db.call("heartbeat", runner_id=heir.runner)
        db.call("maintain")
    assert heir.heard() >= 1
    assert heir.look()


def test_a_session_may_turn_notifying_off(database: Database, sleeper: Sleeper) -> None:
    """For itself; the sleeper finds the work when it looks."""
    db = database.main
    db.define("a")
    db.run("set pgtasker.notify = off")
    db.start()
    assert sleeper.heard() == 0
    db.run("reset pgtasker.notify")
    db.start()
    assert sleeper.heard() == 1
    assert len(sleeper.look(2)) == 2


@pytest.mark.parametrize("looked_first", [True, False])
def test_nothing_is_overslept_when_a_producer_commits_meanwhile(
    database: Database, looked_first: bool
) -> None:
    """The mark of the sleeper or the step is not visible yet: the next look finds the step."""
    db, producer = database.main, database.connect("producer")
    db.define("a")
    sleeper = Sleeper(database)
    if looked_first:
        sleeper.session.begin()
        assert sleeper.session.claim(1, sleeper.runner) == []
        producer.start()
        sleeper.session.commit()
    else:
        producer.begin()
        producer.start()
        assert sleeper.session.claim(1, sleeper.runner) == []
        producer.commit()
    assert sleeper.heard() == 0
    assert len(sleeper.look()) == 1


def test_a_producer_that_sees_the_mark_tells(database: Database) -> None:
    """The two orders that are left."""
    db, producer = database.main, database.connect("producer")
    db.define("a")
    sleeper = Sleeper(database)
    producer.begin()
    assert sleeper.look() == []
    producer.start()
    producer.commit()
    assert sleeper.heard() == 1
