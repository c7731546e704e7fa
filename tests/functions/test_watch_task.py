"""watch_task: who waits for the end of a task is told of it, and nobody waits for a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ..support.databases import Database
from ..support.session import Session

CHANNEL = "the end"


@pytest.fixture
def listener(database: Database) -> Session:
    """A session that listens on the channel."""
    session = database.connect("listener")
    session.run(f'listen "{CHANNEL}"')
    return session


def watch(session: Session, task: int, channel: str = CHANNEL, **more: Any) -> bool:
    return bool(session.call("watch_task", task_id=task, channel=channel, **more))


def heard(session: Session) -> list[int]:
    """The tasks that the session was told of since the last question."""
    session.one("select 1")
    return [int(notice.payload) for notice in session.conn.notifies(timeout=0)]


def watches(db: Session) -> int:
    return int(db.one("select count(*) from task_watches"))


ENDS: dict[str, Callable[[Session, int], Any]] = {
    "complete": lambda db, task: db.settle(task),
    "error": lambda db, task: db.settle(task, broken=["a"]),
    "cancelled": lambda db, task: db.call("cancel_task", task_id=task),
    "resolved": lambda db, task: db.call(
        "resolve_step", workflow_step_id=db.step_id(task, "a"), results=None
    ),
    "typed by hand": lambda db, task: db.run(
        "insert into task_transitions (task_id, to_state) values (%s, 'cancelled')", task
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_whatever_brings_a_task_to_rest_tells_who_watches(db: Session, listener: Session, end: str):
    """With the task_id, at the commit; the watch is gone then."""
    task = db.run_with("a")
    assert watch(db, task)
    assert heard(listener) == []
    ENDS[end](db, task)
    assert heard(listener) == [task]
    assert watches(db) == 0


def test_what_happens_on_the_way_is_not_told(db: Session, listener: Session):
    """A step that starts, fails and is retried, a pause: the task goes on."""
    task = db.run_with("a->b")
    watch(db, task)
    db.fail(db.claim_only("a"))
    db.call("pause_task", task_id=task)
    db.call("resume_task", task_id=task)
    db.wait(2)
    db.finish_step("a")
    assert heard(listener) == []
    db.finish_step("b")
    assert heard(listener) == [task]


def test_only_watched_tasks_are_told_of(db: Session, listener: Session):
    """One of three, all ended by one statement."""
    db.define("a")
    tasks = db.call("create_tasks", name="flow", contexts=[{}] * 3)
    watch(db, tasks[1])
    outcomes = [
        {"workflow_step_id": s.workflow_step_id, "claim_id": s.claim_id, "outcome": "complete"}
        for s in db.claim(3)
    ]
    db.call("advance", runner_id=db.runner, outcomes=db.json(outcomes), max_steps=0)
    assert heard(listener) == [tasks[1]]


def test_several_may_watch_one_task(database: Database, listener: Session):
    """Each on a channel of its own."""
    db, other = database.main, database.connect("other")
    other.run("listen other")
    task = db.run_with("a")
    watch(db, task)
    watch(db, task, "other")
    db.settle(task)
    assert (heard(listener), heard(other)) == ([task], [task])


def test_a_task_at_rest_needs_no_watch(db: Session, listener: Session):
    """The answer is false, and nothing is kept or told."""
    task = db.run_with("a")
    db.break_step("a")
    assert watch(db, task) is False
    assert watches(db) == 0
    db.call("retry_task", task_id=task)
    assert watch(db, task) is True


def test_a_watch_lasts_as_long_as_its_patience(db: Session, listener: Session):
    """Judged by the clock of the engine."""
    late, punctual = db.run_with("a"), db.start()
    watch(db, late, patience="10 s")
    watch(db, punctual, patience="12 s")
    db.move_clock(11)
    db.settle(late)
    db.settle(punctual)
    assert heard(listener) == [punctual]


def test_watching_again_extends_the_watch(db: Session, listener: Session):
    """There is one watch for each channel, and it never becomes shorter."""
    task = db.run_with("a")
    watch(db, task, patience="10 s")
    watch(db, task, patience="30 s")
    watch(db, task, patience="1 s")
    assert watches(db) == 1
    db.move_clock(20)
    db.settle(task)
    assert heard(listener) == [task]


def test_a_watch_that_is_over_is_removed(db: Session):
    """By maintain, once a minute; the others stay."""
    over, open_ = db.run_with("a"), db.start()
    watch(db, over, patience="1 s")
    watch(db, open_, patience="10 minutes")
    db.call("maintain")
    db.move_clock(59)
    db.call("maintain")
    assert watches(db) == 2
    db.move_clock(2)
    db.call("maintain")
    assert db.column("select task_id from task_watches") == [open_]


def test_watches_are_removed_in_bounded_batches(db: Session):
    """A full batch is followed by the next at the next call."""
    db.define("a")
    for task in db.call("create_tasks", name="flow", contexts=[{}] * 5):
        watch(db, task, patience="1 s")
    db.move_clock(61)
    left = []
    for _ in range(3):
        db.run("select _end_watches(2)")
        left.append(watches(db))
    assert left == [3, 1, 0]


def test_maintain_passes_over_a_watch_that_is_being_extended(database: Database):
    """It waits for nobody."""
    db, watcher = database.main, database.connect("watcher")
    task = db.run_with("a")
    watch(db, task, patience="1 s")
    db.move_clock(61)
    watcher.begin()
    watch(watcher, task, patience="5 minutes")
    db.call("maintain")
    watcher.commit()
    assert watches(db) == 1


def test_a_session_that_must_not_notify_leaves_the_watch(db: Session, listener: Session):
    """PREPARE TRANSACTION refuses NOTIFY; who waits finds the end by looking."""
    task = db.run_with("a")
    watch(db, task)
    db.run("set pgtasker.notify = off")
    db.settle(task)
    assert heard(listener) == []
    assert watch(db, task) is False
    assert watches(db) == 1


def test_an_end_that_looked_too_early_is_found_by_looking(database: Database, listener: Session):
    """The watch commits between the look of the completer and its commit: neither waits."""
    db, completer = database.main, database.connect("completer")
    task = db.run_with("a")
    claimed = db.claim_only("a")
    completer.begin()
    completer.complete(claimed)
    assert watch(db, task) is True
    assert watch(db, task) is True
    completer.commit()
    assert heard(listener) == []
    assert watch(db, task) is False


def test_a_completer_does_not_wait_for_a_watcher(database: Database, listener: Session):
    """Neither for one who registers nor for one who extends; the latter's old watch serves."""
    db, new, old = database.main, database.connect("new"), database.connect("old")
    task = db.run_with("a")
    watch(db, task, "other")
    watch(db, task)
    new.begin()
    watch(new, task, "new")
    old.begin()
    watch(old, task)
    db.settle(task)
    assert heard(listener) == [task]
    new.commit()
    old.commit()
    assert watches(db) == 2


def test_a_watcher_does_not_wait_for_a_completer(database: Database, listener: Session):
    """Who extends a watch that is about to be told registers one more; it is over in time."""
    db, completer = database.main, database.connect("completer")
    task = db.run_with("a")
    claimed = db.claim_only("a")
    watch(db, task)
    completer.begin()
    completer.complete(claimed)
    assert watch(db, task) is True
    completer.commit()
    assert heard(listener) == [task]
    assert watches(db) == 1
    db.move_clock(61)
    db.call("maintain")
    assert watches(db) == 0


def test_two_who_end_and_watch_crosswise_do_not_meet(database: Database):
    """Each ends one task and then watches that of the other, in one transaction."""
    one, two = database.main, database.connect("two")
    first, second = one.run_with("a"), one.start()
    watch(one, first)
    watch(one, second)
    one.begin()
    two.begin()
    one.call("cancel_task", task_id=first)
    two.call("cancel_task", task_id=second)
    watch(one, second)
    watch(two, first)
    one.commit()
    two.commit()
    assert {one.state_of(first), one.state_of(second)} == {"cancelled"}


@pytest.mark.parametrize(
    ("channel", "patience", "sqlstate", "match"),
    [
        ("", "1 s", "22004", "channel must not be null or empty"),
        (None, "1 s", "22004", "channel must not be null or empty"),
        ("ä" * 32, "1 s", "22023", "longer than 63 bytes.*64 bytes"),
        ("c", "0", "22023", "patience must be more than 0 and at most 1 day, not 00:00:00"),
        ("c", "-1 s", "22023", "patience must be"),
        ("c", "25 hours", "22023", "patience must be"),
        ("c", None, "22004", "patience must not be null"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    db: Session, channel: str | None, patience: str | None, sqlstate: str, match: str
):
    """A channel has 1 to 63 bytes, patience has an end."""
    task = db.run_with("a")
    with db.refused(sqlstate, match):
        db.call("watch_task", task_id=task, channel=channel, patience=patience)


def test_an_unknown_task_is_refused(db: Session):
    """As everywhere, it is no_data_found."""
    with db.refused("P0002", "unknown task 7"):
        watch(db, 7)
    with db.refused("22004", "task_id"):
        db.call("watch_task", task_id=None, channel="c")


def test_the_longest_channel_is_told(database: Database):
    """63 bytes are a channel."""
    db, listener = database.main, database.connect("listener")
    channel = "c" * 63
    listener.run(f'listen "{channel}"')
    task = db.run_with("a")
    watch(db, task, channel)
    db.settle(task)
    assert heard(listener) == [task]
