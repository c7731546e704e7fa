"""The analytics: what happened since a time, how often, and how long it took.

get_analytics_metrics, get_step_statistics, get_task_statistics, get_slowest_steps and
get_slowest_tasks read the log for an hour, the rollups beyond. The clock stands still in between,
so that every duration is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from ..support.databases import Database
from ..support.session import Session
from .rollups import count_on, roll_up

FUNCTIONS = (
    "get_analytics_metrics", "get_step_statistics", "get_task_statistics", "get_slowest_steps",
    "get_slowest_tasks",
)  # fmt: skip


@pytest.fixture(autouse=True)
def patient(db: Session) -> None:
    """Nobody takes the runner of a test that lets an hour go by for dead."""
    db.call("set_setting", name="lease", value="100 days")


def attempt(db: Session, work: float, *, wait: float = 0, fails: bool = False) -> Any:
    """The next attempt waits so long in the queue and runs so long."""
    db.move_clock(wait)
    [claimed] = db.claim(1)
    db.move_clock(work)
    if fails:
        db.fail(claimed, retry_after="0 s")
        db.call("maintain")
    else:
        db.complete(claimed)
    return claimed


def runs(db: Session, durations: Sequence[float], name: str = "one") -> None:
    """A task of one step for each duration."""
    db.define("a", name)
    for work in durations:
        db.start(name)
        attempt(db, work)


def ago(db: Session, **span: float) -> datetime:
    now: datetime = db.call("clock")
    return now - timedelta(**span)


def metrics(db: Session, since: datetime | None = None) -> Any:
    [row] = db.call("get_analytics_metrics", **({} if since is None else {"since": since}))
    return row


def test_nothing_has_happened(db: Session):
    """Counts are 0, and of nothing there is no rate and no duration."""
    row = metrics(db)
    assert (row.created_tasks, row.attempts, row.completed_steps, row.active_tasks) == (0, 0, 0, 0)
    assert (row.error_rate, row.run_seconds_p50, row.task_seconds_p99) == (None, None, None)
    assert (row.tasks_per_second, row.steps_per_second) == (0, 0)
    for function in FUNCTIONS[1:]:
        assert db.call(function) == []


def test_tasks_are_counted_by_how_they_ended(db: Session):
    """A task that failed and was retried failed all the same."""
    db.define("a", "one")
    tasks = [db.start("one") for _ in range(6)]
    for step, fails in zip(db.claim(5), (False, True, True, True, False), strict=True):
        db.fail(step, retryable=False) if fails else db.complete(step)
    db.call("resolve_task", task_id=tasks[1])
    db.call("retry_task", task_id=tasks[2])
    db.call("cancel_task", task_id=tasks[5])
    row = metrics(db)
    assert (row.created_tasks, row.completed_tasks, row.failed_tasks) == (6, 2, 3)
    assert (row.cancelled_tasks, row.resolved_tasks, row.active_tasks) == (1, 1, 2)
    [stats] = db.call("get_task_statistics")
    assert (stats.created, stats.completed, stats.failed) == (6, 2, 3)
    assert (stats.cancelled, stats.resolved) == (1, 1)


def test_attempts_that_ended_are_counted(db: Session):
    """With a result or an error; what was released or lost is neither."""
    db.call("set_setting", name="lease", value="15 s")
    db.run_with("a", a={"retry_limit": 9})
    attempt(db, 1, fails=True)
    db.release(db.claim_only("a"))
    db.claim_only("a", db.register(name="about to be lost"))
    db.wait(60)
    attempt(db, 2)
    row = metrics(db)
    assert (row.attempts, row.completed_steps, row.failed_attempts) == (2, 1, 1)
    assert row.error_rate == 0.5


def test_run_time_and_queue_wait_are_kept_apart(db: Session):
    """A second at work after ten in the queue."""
    db.run_with("a")
    attempt(db, 1, wait=10)
    row = metrics(db)
    assert (row.run_seconds_p50, row.wait_seconds_p50, row.task_seconds_p50) == (1, 10, 11)
    [stats] = db.call("get_step_statistics")
    assert (stats.run_seconds_mean, stats.wait_seconds_mean) == (1, 10)
    [slow] = db.call("get_slowest_steps")
    assert (slow.run_seconds, slow.wait_seconds, slow.state) == (1, 10, "complete")


def test_a_retry_waits_from_when_it_became_ready(db: Session):
    """Backoff is no waiting in the queue, and a schedule neither."""
    db.define("a", "one", steps={"a": {"backoff": {"base": 30, "jitter": False, "max": 30}}})
    db.start("one", run_at=ago(db, minutes=-5))
    db.wait(300)
    db.fail(db.claim_only("a"))
    db.wait(30)
    attempt(db, 1, wait=2)
    [stats] = db.call("get_step_statistics")
    assert (stats.attempts, stats.errors, stats.error_rate) == (2, 1, 0.5)
    assert (stats.wait_seconds_p50, stats.wait_seconds_p99) == (0, 2)


def test_up_to_an_hour_is_exact(db: Session):
    """Said in the row; the window begins where it was asked to."""
    runs(db, [1000, 3, 2000, 4])
    for span, attempts, p99 in ((3600, 4, 2000), (2003, 2, 2000), (3, 1, 4)):
        since = ago(db, seconds=span)
        row = metrics(db, since)
        assert (row.is_exact, row.analysis_period_start) == (True, since)
        assert (row.attempts, row.run_seconds_p99) == (attempts, p99)
    assert not metrics(db, ago(db, seconds=3661)).is_exact


@pytest.mark.parametrize("count", [1, 2, 20, 100])
def test_percentiles_are_of_the_durations(db: Session, count: int):
    """As counted by hand, in a window that holds all of them."""
    db.define("a", "one")
    durations = [0.5 * number for number in range(1, count + 1)]
    for work in durations:
        db.start("one")
        attempt(db, work / 10)
    row = metrics(db)
    for name, share in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99)):
        wanted = next(w for at, w in enumerate(durations, 1) if at >= share * count) / 10
        assert getattr(row, f"run_seconds_{name}") == pytest.approx(wanted)


def test_a_longer_window_is_within_five_percent(db: Session):
    """From histograms, before they are refreshed and after; counts stay exact."""
    durations = [0.001, 0.02, 0.3, 1, 2, 3, 5, 8, 13, 21, 34, 55, 144, 610]
    runs(db, durations)
    since = ago(db, days=1)
    before = metrics(db, since)
    roll_up(db)
    after = metrics(db, since)
    assert not before.is_exact
    assert not after.is_exact
    for row in (before, after):
        assert (row.attempts, row.completed_steps, row.created_tasks) == (14, 14, 14)
        assert row.completed_tasks == 14
        assert row.run_seconds_p50 == pytest.approx(5, rel=0.05)
        assert row.run_seconds_p95 == pytest.approx(610, rel=0.05)
        assert row.task_seconds_p50 == pytest.approx(5, rel=0.05)
    [stats] = db.call("get_step_statistics", since=since)
    assert stats.run_seconds_mean == pytest.approx(sum(durations) / 14)


def test_a_longer_window_begins_at_the_start_of_its_hour(db: Session):
    """Said in the row; what happened before is not in it."""
    runs(db, [1])
    db.move_clock(2 * 3600)
    runs(db, [1, 1])
    db.move_clock(600)
    roll_up(db)
    row = metrics(db, ago(db, minutes=70))
    start = row.analysis_period_start
    assert (start.minute, start.second, start.microsecond) == (0, 0, 0)
    assert ago(db, minutes=130) < start <= ago(db, minutes=70)
    assert row.attempts == 2
    assert metrics(db, ago(db, hours=3)).attempts == 3


def test_rates_are_of_the_window(db: Session):
    """Completed tasks and steps over its seconds."""
    runs(db, [10] * 6)
    row = metrics(db, ago(db, seconds=120))
    assert (row.tasks_per_second, row.steps_per_second) == (0.05, 0.05)
    assert metrics(db, ago(db, seconds=-5)).tasks_per_second is None


def test_statistics_are_by_name_over_all_versions(db: Session):
    """The slowest p95 first; a namespace and a name narrow them."""
    for version, work in (("1.0.0", 1), ("1.1.0", 3)):
        db.define("a->b", "flow", version=version, namespace="shop")
        db.start("flow", namespace="shop")
        attempt(db, work)
        attempt(db, 10 * work)
    runs(db, [5], "other")
    rows = db.call("get_step_statistics")
    assert [(row.namespace, row.workflow_name, row.step_name) for row in rows] == [
        ("shop", "flow", "b"), ("default", "other", "a"), ("shop", "flow", "a"),
    ]  # fmt: skip
    assert [row.attempts for row in rows] == [2, 1, 2]
    assert [row.run_seconds_mean for row in rows] == [20, 5, 2]
    assert [row.name for row in db.call("get_task_statistics", namespace="shop")] == ["flow"]
    assert [row.step_name for row in db.call("get_step_statistics", name="other")] == ["a"]
    assert db.call("get_step_statistics", namespace="nowhere") == []


@pytest.mark.parametrize("span", [{"minutes": 30}, {"days": 2}])
@pytest.mark.parametrize("refreshed", [False, True])
def test_the_slowest_first(db: Session, span: dict[str, float], refreshed: bool):
    """Whatever they are read from; failed attempts are among them."""
    db.define("a->b", "flow")
    db.start("flow")
    attempt(db, 7)
    attempt(db, 9, fails=True)
    attempt(db, 2)
    runs(db, [1, 30, 4], "other")
    if refreshed:
        roll_up(db)
    since = ago(db, **span)
    rows = db.call("get_slowest_steps", since=since, max_rows=4)
    assert [row.run_seconds for row in rows] == [30, 9, 7, 4]
    assert [row.state for row in rows] == ["complete", "error", "complete", "complete"]
    assert [row.attempt for row in rows] == [1, 1, 1, 1]
    assert rows[0].finished_at - rows[0].started_at == timedelta(seconds=30)
    tasks = db.call("get_slowest_tasks", since=since, max_rows=2)
    assert [(row.name, row.total_seconds) for row in tasks] == [("other", 30), ("flow", 18)]
    [only] = db.call("get_slowest_steps", since=since, name="flow", max_rows=1)
    assert (only.step_name, only.run_seconds) == ("b", 9)
    assert db.call("get_slowest_tasks", since=since, namespace="nowhere") == []


def test_of_each_hour_the_twenty_slowest_are_kept(db: Session):
    """The quicker ones make room, whatever they came after."""
    runs(db, [*range(1, 16), *range(40, 15, -1)])
    roll_up(db)
    kept = db.column("select seconds from slowest where subject = 'step' order by 1")
    assert kept == list(range(21, 41))
    rows = db.call("get_slowest_steps", since=ago(db, days=1), max_rows=100)
    assert [row.run_seconds for row in rows] == list(range(40, 20, -1))


@pytest.mark.parametrize("function", ["get_slowest_steps", "get_slowest_tasks"])
@pytest.mark.parametrize("rows", [0, -1, 101])
def test_how_many_rows_is_bounded(db: Session, function: str, rows: int):
    """From 1 to 100; null is the default."""
    with db.refused("22023", f"max_rows must be from 1 to 100, not {rows}"):
        db.call(function, max_rows=rows)
    assert db.call(function, max_rows=None) == []


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("since", ["-infinity", "1066-10-14", "infinity", "2999-01-01", None])
def test_any_time_is_a_window(db: Session, function: str, since: str | None):
    """From before there was anything to after everything."""
    runs(db, [1])
    db.move_clock(1)
    rows = db.call(function, since=since)
    if function != "get_analytics_metrics":
        assert len(rows) == (0 if since in ("infinity", "2999-01-01") else 1)


def test_a_transaction_that_stays_open_hides_nothing(db: Session, database: Database):
    """What it wrote is counted once it commits, however late; the rest meanwhile, from the log."""
    db.define("a", "one")
    slow = database.connect("slow")
    slow.begin()
    slow.start("one")
    runs(db, [1, 1], "other")
    for _ in range(3):
        count_on(db)
    since = ago(db, days=1)
    assert metrics(db, since).created_tasks == 2
    assert db.one("select count(*) from rollups where fact = 'complete'") == 0
    slow.commit()
    assert metrics(db, since).created_tasks == 3
    roll_up(db)
    assert metrics(db, since).created_tasks == 3
    assert (
        db.one(
            "select sum(occurrences) from rollups where fact = 'created'"
            " and bucket_at > '-infinity'"
        )
        == 3
    )


def test_two_that_count_at_once_count_once(db: Session, database: Database):
    """The second skips it and waits for nobody."""
    runs(db, [1, 2])
    db.move_clock(5)
    db.begin()
    db.call("maintain")
    other = database.connect()
    other.set_clock(database.clock)
    other.call("maintain")
    db.commit()
    other.call("maintain")
    roll_up(db)
    assert (
        db.one(
            "select sum(occurrences) from rollups where fact = 'complete'"
            " and subject = 'step' and bucket_at > '-infinity'"
        )
        == 2
    )


def test_a_refresh_that_is_rolled_back_is_done_again(db: Session):
    """The rollup and how far it is are one transaction."""
    runs(db, [1, 2])
    db.move_clock(5)
    db.begin()
    db.call("maintain")
    db.rollback()
    assert db.one("select count(*) from rollups") == 0
    roll_up(db)
    assert metrics(db, ago(db, days=1)).completed_steps == 2


def test_a_restored_database_counts_on(db: Session):
    """Its transactions begin anew; what it brought along is counted already."""
    runs(db, [1, 2])
    roll_up(db)
    db.run("update rollup_progress set next_xact_id = next_xact_id + 1000000000")
    db.move_clock(10)
    db.call("maintain")
    runs(db, [3])
    since = ago(db, days=1)
    assert metrics(db, since).completed_steps == 3
    roll_up(db)
    assert metrics(db, since).completed_steps == 3


def buckets(db: Session) -> list[tuple[str, int]]:
    """How many attempts were completed in which bucket."""
    return db.rows(
        "select to_char(bucket_at, 'DD HH24'), sum(occurrences)::int from rollups"
        " where fact = 'complete' and subject = 'step' and bucket_at > '-infinity'"
        " group by bucket_at order by bucket_at"
    )


def test_after_some_days_hours_become_days(db: Session, database: Database):
    """Counts stay what they are, of every window; what comes late is counted in its day."""
    for _ in range(10):
        runs(db, [1, 2])
        db.move_clock(12 * 3600 - 3)
    late = database.connect("late")
    late.begin()
    db.call("heartbeat", runner_id=db.runner)
    late.run(
        "insert into task_transitions (task_id, created_at, to_state) values (%s, %s, 'cancelled')",
        db.start("one"),
        ago(db, days=4),
    )
    before = [metrics(db, ago(db, days=days)).completed_steps for days in range(6)]
    count_on(db)
    late.commit()
    db.move_clock(60)
    roll_up(db)
    for _ in range(8):
        count_on(db)
    assert buckets(db) == [
        ("01 00", 4), ("02 00", 4), ("03 00", 4), ("04 00", 2), ("04 12", 2), ("05 00", 2),
        ("05 12", 2),
    ]  # fmt: skip
    after = [metrics(db, ago(db, days=days)) for days in range(6)]
    assert [row.completed_steps for row in after] == before
    assert after[5].analysis_period_start.hour == 0
    assert after[5].cancelled_tasks == 1
    assert db.one("select count(*) from slowest where subject = 'step'") == 20
    rows = db.call("get_slowest_steps", since=ago(db, days=6), max_rows=10)
    assert [row.run_seconds for row in rows] == [2] * 10


def test_hours_go_when_they_are_old(db: Session):
    """The totals stay."""
    runs(db, [1])
    roll_up(db)
    db.call("set_setting", name="rollup_days", value="7")
    db.move_clock(8 * 86400)
    db.call("maintain")
    assert db.column("select distinct bucket_at::text from rollups") == ["-infinity"]
    assert db.one("select count(*) from slowest") == 0
    [health] = db.call("get_system_health_counts")
    assert (health.complete_tasks, health.complete_steps) == (1, 1)
