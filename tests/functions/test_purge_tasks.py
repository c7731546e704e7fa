"""purge_tasks, and what maintain does of it by itself: finished tasks go with all that belongs to
them once they are older than is kept; what is not over, not counted or in use stays."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.errors import SerializationFailure

from ..support.databases import Database
from ..support.graph import workflow
from ..support.session import Session
from .rollups import roll_up

DAY = 86400
HISTORY = (
    "tasks",
    "workflow_steps",
    "workflow_step_edges",
    "task_transitions",
    "workflow_step_transitions",
    "task_watches",
)
ENDS = {
    "complete": lambda db, task: db.settle(task),
    "cancelled": lambda db, task: db.call("cancel_task", task_id=task),
    "resolved_manually": lambda db, task: (
        db.settle(task, broken=["a"]),
        db.call("resolve_task", task_id=task),
    ),
}
TIMES = ("calculated_at", "connections", "analysis_period_start")
UNFINISHED = {
    "pending": lambda db, task: None,
    "in_progress": lambda db, task: db.finish_step("a"),
    "error": lambda db, task: db.settle(task, broken=["a"]),
    "paused": lambda db, task: db.call("pause_task", task_id=task),
}


def age(db: Session, days: float) -> None:
    """All that was done until now is counted, and so many days pass."""
    roll_up(db)
    db.move_clock(days * DAY)
    db._runner = None  # its lease is over


def purge(db: Session, older_than: str | None = "30 days", **more: Any) -> int:
    return int(db.call("purge_tasks", older_than=older_than, **more))


def tasks(db: Session) -> list[int]:
    return db.column("select task_id from tasks order by 1")


def maintain(db: Session, calls: int = 1) -> None:
    """Turns of maintain, each when it is due."""
    for _ in range(calls):
        db.run("update purge_progress set next_at = '-infinity'")
        db.call("maintain")


@pytest.mark.parametrize("end", ENDS)
def test_a_finished_task_goes_with_all_that_belongs_to_it(db: Session, end: str):
    """Nothing is left of it, whichever way it was over."""
    task = db.run_with("a->b a->c")
    db.call("watch_task", task_id=task, channel="c", patience="1 day")
    db.run("set pgtasker.notify = off")  # and the watch stays
    ENDS[end](db, task)
    assert db.state_of(task) == end
    age(db, 31)
    assert purge(db) == 1
    assert {table: db.one(f"select count(*) from {table}") for table in HISTORY} == dict.fromkeys(
        HISTORY, 0
    )
    with db.refused("P0002", f"unknown task {task}"):
        db.task(task)
    with db.refused("P0002", f"unknown task {task}"):
        db.call("retry_task", task_id=task)


@pytest.mark.parametrize("state", UNFINISHED)
def test_what_is_not_over_stays(db: Session, state: str):
    """However old it is; a task in error waits for somebody."""
    task = db.run_with("a->b")
    UNFINISHED[state](db, task)
    age(db, 1000)
    assert purge(db) == 0
    assert tasks(db) == [task]
    assert set(db.steps_of(task)) == {"a", "b"}


def test_the_age_counts_from_when_a_task_came_to_rest(db: Session):
    """Not from its creation, and not to the second."""
    old, slow = db.run_with("a"), db.start()
    db.call("cancel_task", task_id=old)
    age(db, 20)
    db.settle(slow)
    age(db, 11)
    assert purge(db) == 1
    assert tasks(db) == [slow]
    db.move_clock(19 * DAY)
    assert purge(db) == 0
    db.move_clock(1)
    assert purge(db) == 1


def test_one_call_removes_a_bounded_number(db: Session):
    """The oldest first; zero says that there is no more."""
    db.define("a->b")
    ids = db.call("create_tasks", name="flow", contexts=[{}] * 5)
    for task in ids:
        db.call("cancel_task", task_id=task)
    age(db, 31)
    assert purge(db, max_tasks=2) == 2
    assert tasks(db) == ids[2:]
    assert [purge(db, max_tasks=2) for _ in range(3)] == [2, 1, 0]


def test_many_are_found_behind_many_that_stay(db: Session):
    """The look goes on from stretch to stretch."""
    db.define("a", name="kept")
    db.define("a")
    db.call("create_tasks", name="kept", contexts=[{}] * 6000)
    last = db.start()
    db.call("cancel_task", task_id=last)
    age(db, 31)
    assert purge(db) == 1
    assert last not in tasks(db)


def test_an_idempotency_key_is_free_again(db: Session):
    """It is unique until the task is purged."""
    first = db.start(db.define("a"), idempotency_key="k")
    db.settle(first)
    age(db, 31)
    assert db.start(idempotency_key="k") == first
    purge(db)
    again = db.start(context={"other": 1}, idempotency_key="k")
    assert again != first
    assert db.settle(again) == "complete"


def test_counts_and_rollups_survive(db: Session):
    """What has happened has happened."""
    for task in [db.run_with("a->b"), db.start()]:
        db.settle(task)
    db.call("cancel_task", task_id=db.start())
    since = db.call("clock")

    def said() -> Any:
        counts = db.call("get_system_health_counts")
        metrics = db.call("get_analytics_metrics", since=since)
        totals = db.rows(
            "select subject, named_id, fact, occurrences, seconds from rollups order by 1, 2, 3, 5"
        )
        counts, metrics = (
            {name: value for name, value in row._asdict().items() if name not in TIMES}
            for [row] in (
                db.rows("select * from get_system_health_counts()"),
                db.rows("select * from get_analytics_metrics(%s)", since),
            )
        )
        assert counts["complete_tasks"] == metrics["completed_tasks"] == 2
        return counts, metrics, totals

    age(db, 40)
    before = said()
    assert purge(db) == 3
    assert said() == before
    assert db.call("get_slowest_tasks", since=since) == []
    assert db.call("get_slowest_steps", since=since) == []


def test_what_is_not_counted_yet_stays(database: Database):
    """An open transaction keeps the rollups from counting: no fact is lost meanwhile."""
    db, other = database.main, database.connect("other")
    roll_up(db)
    other.begin()
    other.one("select txid_current()")
    task = db.run_with("a->b")
    db.settle(task)
    db.move_clock(40 * DAY)
    assert purge(db) == 0
    assert tasks(db) == [task]
    other.commit()
    roll_up(db)
    assert purge(db) == 1


def test_a_purge_counts_what_it_can_by_itself(db: Session):
    """Where nobody calls maintain."""
    db.settle(db.run_with("a"))
    roll_up(db)
    task = db.start()
    db.settle(task)
    ended = db.one("select max(xact_id) from task_transitions")
    db.move_clock(40 * DAY)
    removed = purge(db)
    counted = db.one("select next_xact_id from rollup_progress") > ended
    assert removed == (2 if counted else 1)


def test_what_a_restored_database_brought_along_is_counted(db: Session):
    """Its transaction ids are those of another server, above those of this one."""
    task = db.run_with("a")
    db.settle(task)
    age(db, 31)
    db.run(
        "set session_replication_role = replica;"
        " update tasks set xact_id = 4000000000000;"
        " update task_transitions set xact_id = 4000000000000;"
        " update workflow_step_transitions set xact_id = 4000000000000;"
        " update rollup_progress set begins_at = clock();"
        " set session_replication_role = origin"
    )
    assert purge(db) == 1


@pytest.mark.parametrize(
    ("older_than", "max_tasks", "match"),
    [
        ("1 hour", 10, "older_than must be from 2 hours"),
        ("-1 day", 10, "older_than must be from 2 hours"),
        ("101 years", 10, "older_than must be from 2 hours"),
        ("1 day", 0, "max_tasks must be from 1"),
        ("1 day", 100001, "max_tasks must be from 1"),
        ("1 day", None, "max_tasks must be from 1"),
    ],
)
def test_what_makes_no_sense_is_refused(
    db: Session, older_than: str, max_tasks: int | None, match: str
):
    """The analytics of the last hour need their log."""
    with db.refused("22023", match):
        purge(db, older_than, max_tasks=max_tasks)


# Retention: what maintain removes by itself.


def test_tasks_are_kept_for_ever_unless_something_is_said(db: Session):
    """That is the default."""
    assert db.call("get_setting", name="retention") == "forever"
    task = db.run_with("a")
    db.settle(task)
    age(db, 10_000)
    maintain(db, 3)
    assert purge(db, None) == 0
    assert tasks(db) == [task]


def test_maintain_removes_what_is_kept_no_longer(db: Session):
    """By the setting, unless a workflow says something else of its version."""
    db.define("a")
    db.define("a", name="short", retention=DAY)
    db.define("a", name="long", retention=100 * DAY)
    ids = {name: db.start(name) for name in ("flow", "short", "long")}
    for task in ids.values():
        db.settle(task)
    age(db, 2)
    maintain(db)
    assert tasks(db) == [ids["flow"], ids["long"]]
    db.call("set_setting", name="retention", value="30 days")
    maintain(db)
    assert tasks(db) == [ids["flow"], ids["long"]]
    db.move_clock(30 * DAY)
    maintain(db)
    assert tasks(db) == [ids["long"]]
    db.call("set_setting", name="retention", value="forever")
    db.move_clock(100 * DAY)
    maintain(db)
    assert tasks(db) == []


def test_purging_without_an_age_goes_by_retention(db: Session):
    """At once, for whoever does not want to wait for maintain."""
    db.define("a")
    db.define("a", name="short", retention=DAY)
    kept = db.start("flow")
    for task in (kept, db.start("short")):
        db.settle(task)
    age(db, 2)
    assert purge(db, None) == 1
    assert tasks(db) == [kept]


def test_the_retention_of_a_workflow_is_the_one_of_today(db: Session):
    """Registering it with another changes what becomes of its old tasks."""
    db.define("a")
    task = db.start()
    db.settle(task)
    age(db, 10)
    maintain(db)
    assert tasks(db) == [task]
    with db.refused("42710"):
        db.call("register_workflow", definition=workflow("a", retention=5 * DAY), replace=False)
    db.define("a", retention=5 * DAY)
    maintain(db)
    assert tasks(db) == []


@pytest.mark.parametrize("retention", ["a month", 60, -1, 1e11, True, [1]])
def test_a_retention_that_is_none_is_refused(db: Session, retention: Any):
    """Seconds, at least two hours."""
    with db.refused("22023", "retention must be"):
        db.define("a", retention=retention)


@pytest.mark.parametrize("value", ["1 hour", "for ever", "-1 day", "", "101 years"])
def test_a_setting_that_is_none_is_refused(db: Session, value: str):
    """An interval of at least two hours, or the word forever."""
    with db.refused("22023", "retention.*or the word forever.*at least 2 hours"):
        db.call("set_setting", name="retention", value=value)


def test_a_workflow_without_retention_is_the_workflow_it_was(db: Session):
    """Null is a field left out; what was registered before is not registered anew."""
    known = db.call("register_workflow", definition=workflow("a"))
    db.call("register_workflow", definition=workflow("a", retention=None), replace=False)
    assert db.one("select definition ? 'retention' from named_tasks") is False
    assert db.row("select revision, retention_seconds from named_tasks") == (1, None)
    assert known


def test_a_turn_removes_a_bounded_number(db: Session):
    """As many steps as are removed at once, at least one task; then it is soon due again."""
    db.define("a->b->c", retention=DAY)
    for task in db.call("create_tasks", name="flow", contexts=[{}] * 6):
        db.call("cancel_task", task_id=task)
    age(db, 2)
    left = []
    for steps_at_once in (7, 1, 100):
        db.run("update purge_progress set steps_at_once = %s", steps_at_once)
        maintain(db)
        left.append(len(tasks(db)))
        soon = db.one("select next_at < clock() + interval '1 s' from purge_progress")
        assert soon == (left[-1] > 0)
        assert (db.call("maintain") < db.one("select clock() + interval '0.5 s'")) == soon
    assert left == [3, 2, 0]


def test_a_turn_looks_at_a_stretch_of_tasks(db: Session):
    """Where all of them stay it remembers where it was, and begins anew after the last."""
    db.define("a", retention=DAY)
    db.call("create_tasks", name="flow", contexts=[{}] * 6000)
    age(db, 2)
    seen = []
    for _ in range(3):
        maintain(db)
        seen.append(tuple(db.row("select last_task_id, windows from purge_progress")))
    assert seen == [(5000, 1), (0, 0), (5000, 1)]


def test_where_much_stays_the_look_comes_back_late(db: Session):
    """A minute later, or five seconds for each stretch of tasks that was passed."""
    db.define("a", retention=DAY)
    for task in db.call("create_tasks", name="flow", contexts=[{}] * 3):
        db.call("cancel_task", task_id=task)
    age(db, 2)
    pauses = []
    for windows in (0, 1000, 10**6):
        db.run("update purge_progress set windows = %s", windows)
        maintain(db)
        pauses.append(db.one("select next_at - clock() from purge_progress").total_seconds())
    assert pauses == [60, 5000, DAY]


def test_what_is_due_comes_first(db: Session):
    """A call that leaves due steps to the next one removes nothing."""
    db.define("a", retention=DAY)
    task = db.start()
    db.call("cancel_task", task_id=task)
    soon = db.one("select clock() + interval '1 s'")
    db.call("create_tasks", name="flow", contexts=[{}] * 1500, run_at=soon)
    age(db, 2)
    maintain(db)
    assert task in tasks(db)
    maintain(db)
    assert task not in tasks(db)


# Two sessions.


def test_two_that_purge_at_once_share_the_work(database: Database):
    """Neither waits, and each task is counted by one of them."""
    db, other = database.main, database.connect("other")
    db.define("a->b")
    ids = db.call("create_tasks", name="flow", contexts=[{}] * 4)
    for task in ids:
        db.call("cancel_task", task_id=task)
    age(db, 31)
    db.begin()
    assert purge(db, max_tasks=3) == 3
    assert purge(other) == 1
    db.commit()
    assert tasks(db) == []


def test_maintainers_take_turns(database: Database):
    """One of them at once; the other passes."""
    db, other = database.main, database.connect("other")
    db.define("a->b", retention=DAY)
    for task in db.call("create_tasks", name="flow", contexts=[{}] * 4):
        db.call("cancel_task", task_id=task)
    age(db, 2)
    db.run("update purge_progress set steps_at_once = 1, next_at = '-infinity'")
    db.begin()
    db.call("maintain")
    other.call("maintain")
    db.commit()
    assert len(tasks(db)) == 3


def test_a_purge_that_dies_leaves_everything(database: Database):
    """One transaction: all of a task or nothing."""
    db, other = database.main, database.connect("other")
    task = db.run_with("a->b")
    db.settle(task)
    age(db, 31)
    other.begin()
    assert purge(other) == 1
    other.die()
    assert db.state_of(task) == "complete"
    db.assert_consistent()
    assert purge(db) == 1


VERBS: dict[str, Any] = {
    "retry_task": lambda session, task, step: session.call("retry_task", task_id=task),
    "cancel_task": lambda session, task, step: session.call("cancel_task", task_id=task),
    "retry_step": lambda session, task, step: session.call("retry_step", workflow_step_id=step),
    "resolve_step": lambda session, task, step: session.call("resolve_step", workflow_step_id=step),
    "skip_step": lambda session, task, step: session.call("skip_step", workflow_step_id=step),
    "typed": lambda session, task, step: session.run(
        "insert into workflow_step_transitions (workflow_step_id, to_state)"
        " values (%s, 'cancelled')",
        step,
    ),
    "typed task": lambda session, task, step: session.run(
        "insert into task_transitions (task_id, to_state) values (%s, 'pending')", task
    ),
}


@pytest.mark.parametrize("end", ["commits", "rolls back"])
@pytest.mark.parametrize("verb", VERBS)
def test_who_operates_on_what_is_being_purged_waits_and_is_refused(
    database: Database, verb: str, end: str
):
    """As if the purge had come before, or never."""
    db, other = database.main, database.connect("other")
    task = db.run_with("a->b")
    db.call("cancel_task", task_id=task)
    step = db.step_id(task, "a")
    age(db, 31)
    db.begin()
    assert purge(db) == 1
    waiting = other.later(VERBS[verb], other, task, step).blocked_by(db)
    db.commit() if end == "commits" else db.rollback()
    with pytest.raises(Exception, match=r"unknown|illegal|cannot") as refused:
        waiting.result()
    assert refused.value.sqlstate in ("P0002", "55000")  # type: ignore[attr-defined]
    assert tasks(db) == ([] if end == "commits" else [task])


@pytest.mark.parametrize("verb", ["for update", "for no key update"])
@pytest.mark.parametrize("table", ["tasks", "workflow_steps"])
def test_a_purge_passes_over_what_somebody_holds(database: Database, table: str, verb: str):
    """It waits for nobody, and takes all of a task or nothing."""
    db, other = database.main, database.connect("other")
    held, free = db.run_with("a->b"), db.start()
    for task in (held, free):
        db.call("cancel_task", task_id=task)
    age(db, 31)
    other.begin()
    other.run(f"select from {table} where task_id = %s limit 1 {verb}", held)
    assert purge(db) == 1
    assert tasks(db) == [held]
    assert len(db.steps(held)) == 2
    other.commit()
    assert purge(db) == 1


def test_a_purge_does_not_wait_for_a_watcher(database: Database):
    """Nor for who removes the watch; it is over in time, whatever became of the task."""
    db, other = database.main, database.connect("other")
    task = db.run_with("a")
    db.call("watch_task", task_id=task, channel="c", patience="1 day")
    db.run("set pgtasker.notify = off")
    db.call("cancel_task", task_id=task)
    age(db, 31)
    other.begin()
    other.run("select from task_watches for update")
    assert purge(db) == 1
    other.commit()
    db.call("maintain")
    assert db.one("select count(*) from task_watches") == 0


def test_a_late_report_of_a_purged_step_is_lost(database: Database):
    """It waits for the purge, and then there is nothing that it could hold."""
    db, other = database.main, database.connect("other")
    task = db.run_with("a->b")
    claimed = db.claim_only("a")
    runner = other.register()
    db.call("cancel_task", task_id=task)
    age(db, 31)
    runner = other.register()
    outcome = {
        "workflow_step_id": claimed.workflow_step_id,
        "claim_id": claimed.claim_id,
        "outcome": "complete",
    }
    db.begin()
    assert purge(db) == 1
    report = other.later(
        other.call, "advance", runner_id=runner, outcomes=other.json([outcome]), max_steps=0
    ).blocked_by(db)
    db.commit()
    assert report.result().lost == [claimed.claim_id]


def test_a_claim_does_not_wait_for_a_purge(database: Database):
    """Nor the creation of a task, nor the end of one."""
    db, other = database.main, database.connect("other")
    db.define("a->b")
    old = db.start()
    db.call("cancel_task", task_id=old)
    age(db, 31)
    other.start()
    db.begin()
    assert purge(db) == 1
    other.settle(other.start())
    assert len(other.rows("select from tasks where complete")) == 3
    db.commit()


@pytest.mark.parametrize("end", ["commits", "rolls back"])
def test_a_key_that_is_being_purged_is_free_or_not(database: Database, end: str):
    """Who starts a task with it waits for the purge."""
    db, other = database.main, database.connect("other")
    first = db.start(db.define("a"), idempotency_key="k")
    db.settle(first)
    age(db, 31)
    db.begin()
    assert purge(db) == 1
    started = other.later(other.start, idempotency_key="k").blocked_by(db)
    db.commit() if end == "commits" else db.rollback()
    assert (started.result() == first) == (end == "rolls back")
    assert tasks(db) == [started.result()]


def test_a_key_that_is_freed_while_it_is_looked_at_is_told(database: Database):
    """Never the id of a task that does not exist."""
    db, other, third = database.main, database.connect("other"), database.connect("third")
    db.settle(db.start(db.define("a"), idempotency_key="k1"))
    age(db, 31)
    third.begin()
    third.start(idempotency_key="k2")
    started = other.later(
        other.call, "create_tasks", name="flow", contexts=[{}] * 2, idempotency_keys=["k1", "k2"]
    ).blocked_by(third)
    assert purge(db) == 1
    third.rollback()
    with pytest.raises(SerializationFailure, match='"k1" became free'):
        started.result()
    assert tasks(db) == []


def test_a_log_is_removed_only_with_its_task(db: Session):
    """Whoever deletes rows of it by hand is refused, also if they are old and over."""
    task = db.run_with("a")
    db.settle(task)
    age(db, 1000)
    for table in ("task_transitions", "workflow_step_transitions"):
        with db.refused("55000", f"delete of {table} is refused"):
            db.run(f"delete from {table}")
    db.run("delete from tasks")
    with db.refused("55000", "delete of workflow_step_transitions is refused"):
        db.run("delete from workflow_step_transitions")
    db.run("delete from workflow_steps")
    for table in ("task_transitions", "workflow_step_transitions"):
        db.run(f"delete from {table}")
