"""monitoring_metrics: one row for each value that a monitoring system collects."""

from __future__ import annotations

import re

from ..support.session import Session
from .rollups import roll_up

Metrics = dict[tuple[str, ...], float]


def metrics(db: Session, *names: str) -> Metrics:
    """The values of some metrics, by name and labels in the order of their names."""
    wanted = [f"pgtasker_{name}" for name in names]
    rows = db.rows("select * from monitoring_metrics")
    return {
        (row.name.removeprefix("pgtasker_"), *(row.labels[key] for key in sorted(row.labels))):
        row.value
        for row in rows
        if not names or row.name in wanted
    }  # fmt: skip


def refresh(db: Session) -> None:
    """The counters are complete."""
    db.call("set_setting", name="lease", value="1 day")
    db.call("heartbeat", runner_id=db.runner)
    roll_up(db)


def test_the_columns(db: Session):
    """In the documented order; counters end in _total."""
    db.settle(db.run_with("a"))
    refresh(db)
    rows = db.rows("table monitoring_metrics")
    assert rows[0]._fields == ("name", "kind", "labels", "value", "description")
    for row in rows:
        assert re.fullmatch(r"pgtasker_[a-z_]+", row.name)
        assert row.kind == ("counter" if row.name.endswith("_total") else "gauge")
        assert row.description.endswith(".")
        assert all(isinstance(value, str) for value in row.labels.values())
        assert row.value is not None
    described = {(row.name, row.kind, row.description) for row in rows}
    assert len(described) == len({row.name for row in rows})
    assert len(rows) == len(metrics(db))


def test_an_empty_install_has_its_gauges(db: Session):
    """A value that is missing would look like one that was not collected."""
    found = metrics(db)
    for state in ("live", "waiting", "lost"):
        assert found["runners", state] == 0
    for state in ("pending", "in_progress", "error"):
        assert found["tasks", state] == 0
    assert (found["steps_exhausted",], found["claims_at_risk",], found["claims_stalled",]) == (
        0,
    ) * 3
    assert 1 <= found["database_connections",] <= found["database_max_connections",]


def test_queues(db: Session):
    """Depth and age of what is ready, what waits for a time, who serves them."""
    db.define("a b", steps={"b": {"queue": "slow"}})
    db.start()
    db.start(run_at=db.one("select clock() + interval '1 hour'"))
    db.register("default", name="another")
    db.claim(1, db.register("default"))
    db.call("pause_queue", queue="slow")
    db.move_clock(7)
    found = metrics(db)
    assert (found["queue_depth", "default"], found["queue_depth", "slow"]) == (0, 1)
    assert found["queue_oldest_age_seconds", "slow"] == 7
    assert found["queue_oldest_age_seconds", "default"] == 0
    assert (found["queue_scheduled", "default"], found["queue_scheduled", "slow"]) == (1, 1)
    assert (found["queue_in_progress", "default"], found["queue_runners", "default"]) == (1, 2)
    assert (found["queue_paused", "default"], found["queue_paused", "slow"]) == (0, 1)


def test_runners_and_their_claims(db: Session):
    """A suspected runner puts its claims at risk; one past its lease stalls them."""
    db.run_with("a")
    db.claim_only("a", db.register(name="silent"))
    db.claim(1)
    db.claim(1)
    db.run("update runners set suspected_at = clock() where name = 'silent'")
    found = metrics(db)
    assert (found["runners", "live"], found["runners", "waiting"]) == (1, 1)
    assert (found["claims_at_risk",], found["claims_stalled",]) == (1, 0)
    db.move_clock(20)
    found = metrics(db)
    assert (found["runners", "lost"], found["claims_stalled",]) == (2, 1)


def test_counters_count_from_the_install_on(db: Session):
    """By workflow and step, over all versions, a few seconds late."""
    db.define("a", "one", version="1.0.0", namespace="shop")
    db.start("one", namespace="shop")
    claimed = db.claim(1)[0]
    db.move_clock(3)
    db.fail(claimed, retry_after="0 s")
    db.call("maintain")
    db.move_clock(2)
    claimed = db.claim(1)[0]
    db.move_clock(4)
    db.complete(claimed)
    db.define("a", "one", version="2.0.0", namespace="shop")
    db.start("one", namespace="shop")
    db.release(db.claim(1)[0])
    db.fail(db.claim(1)[0], retryable=False)
    db.call("cancel_task", task_id=db.start("one", namespace="shop"))
    refresh(db)
    assert metrics(db, "attempts_total", "run_seconds_total", "wait_seconds_total") == {
        ("attempts_total", "shop", "complete", "a", "one"): 1,
        ("attempts_total", "shop", "error", "a", "one"): 2,
        ("attempts_total", "shop", "released", "a", "one"): 1,
        ("run_seconds_total", "shop", "a", "one"): 7,
        ("wait_seconds_total", "shop", "a", "one"): 2,
    }
    assert metrics(db, "tasks_created_total", "tasks_failed_total", "tasks_finished_total") == {
        ("tasks_created_total", "shop", "one"): 3,
        ("tasks_failed_total", "shop", "one"): 1,
        ("tasks_finished_total", "shop", "complete", "one"): 1,
        ("tasks_finished_total", "shop", "cancelled", "one"): 1,
    }
    found = metrics(db, "tasks", "steps_exhausted")
    assert (found["tasks", "error"], found["steps_exhausted",]) == (1, 1)


def test_the_lag_of_the_counters_is_told(db: Session):
    """Nobody calls maintain: they stand still."""
    db.settle(db.run_with("a"))
    refresh(db)
    assert metrics(db, "rollup_lag_seconds") == {("rollup_lag_seconds",): 0}
    db.move_clock(90)
    assert metrics(db, "rollup_lag_seconds") == {("rollup_lag_seconds",): 90}


def test_an_open_transaction_is_told(db: Session):
    """What is old holds up vacuum, and the counters."""
    db.begin()
    db.run("select 1")
    assert metrics(db, "database_oldest_transaction_seconds").popitem()[1] > 0
    db.rollback()
