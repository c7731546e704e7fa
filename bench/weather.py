"""Lines of the table that compare two sides by themselves: what the engine does in bad weather.

Responsible for an old transaction, for retention at work, for many claimers of one queue and for a
wide graph, each against the same without it in the same database. What is held against a target is
the ratio.
"""

from __future__ import annotations

import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.types.json import Jsonb

from bench import engine, fleet, history
from bench.drivers import bare, claimers, creating
from bench.figures import Run
from bench.lines import BATCH, CLIENTS, scaled
from bench.proof import Mark

WIDTH = 10_000
CLAIMERS = (1, 2, 4, 8, 50)
CLAIM = 10  # steps that each of many claimers takes at once
OLD = 100_000  # tasks that retention removes
PAIRS = 3
RETENTION = {"without": "forever", "with": "30 days"}
LEFT = "select count(*) / 6 from workflow_steps where not processed"  # in whole tasks


def old_transaction(dsn: str, size: float) -> Run:
    """The last half minute of two in which a snapshot is held, while tasks are started and worked
    off; against half a minute without it before, and another one after it."""
    rates: dict[bool, list[float]] = {False: [], True: []}
    last = scaled(30, size)
    with engine.connect(dsn) as conn:
        mark = Mark.of(conn)
        # Each client may owe a call's tasks before it starts them: the others must not run dry.
        enough = (CLIENTS + 2) * creating.IN_ONE_CALL
        for held in (False, True, False):
            missing = round(enough - engine.value(conn, LEFT))
            creating.create(conn, "linear", max(0, missing))
            with _snapshot(dsn, held):
                calls = [(dsn, BATCH, (4 if held else 1.5) * last, last)] * CLIENTS
                rates[held].append(sum(fleet.together(bare.churn, calls)))
        fleet.together(bare.work_off, [(dsn, BATCH)] * CLIENTS)
        tasks = engine.value(conn, "select count(*) from tasks where task_id > %s", mark.task)
        mark.require(conn, tasks=tasks, steps=6)
    before, after = (statistics.mean(rates[held]) for held in (False, True))
    return {
        "% of without": 100 * after / before,
        "steps/s without an old transaction": before,
        "steps/s with an old transaction": after,
        "seconds it was open": 4 * last,
    }


@contextmanager
def _snapshot(dsn: str, held: bool) -> Iterator[None]:
    """With `held`, a transaction with an id and a snapshot stays open."""
    with engine.connect(dsn) as conn, conn.transaction():
        if held:
            conn.execute("set transaction isolation level repeatable read")
            conn.execute("select pg_current_xact_id()")
        yield


def purging(dsn: str, size: float) -> Run:
    """Tasks started and worked off while retention removes old ones a turn at a time, as runners
    have it do, against the same while all are kept."""
    seconds = scaled(20, size)
    rates: dict[str, list[float]] = {side: [] for side in RETENTION}
    with engine.connect(dsn) as conn:
        history.fill(conn, history.History(finished=scaled(OLD, size)))
        conn.execute("vacuum analyze")
        there = engine.value(conn, OLD_TASKS)
        enough = (CLIENTS + 2) * creating.IN_ONE_CALL
        with _maintained(dsn):
            for _ in range(PAIRS):
                for side, retention in RETENTION.items():
                    missing = round(enough - engine.value(conn, LEFT))
                    creating.create(conn, "linear", max(0, missing))
                    conn.execute("select set_setting('retention', %s)", [retention])
                    conn.execute("update purge_progress set next_at = clock()")
                    calls = [(dsn, BATCH, 1.2 * seconds, seconds)] * CLIENTS
                    rates[side].append(sum(fleet.together(bare.churn, calls)))
        fleet.together(bare.work_off, [(dsn, BATCH)] * CLIENTS)
        purged = there - engine.value(conn, OLD_TASKS)
    ratios = [100 * after / before for before, after in zip(*rates.values(), strict=True)]
    return {
        "% of without": statistics.median(ratios),
        **{f"steps/s {side} purging": statistics.median(each) for side, each in rates.items()},
        "tasks purged": purged,
        "tasks purged a second": purged / (PAIRS * 1.2 * seconds),
    }


OLD_TASKS = "select count(*) from tasks where created_at < clock() - interval '30 days'"


@contextmanager
def _maintained(dsn: str) -> Iterator[None]:
    """`maintain` is called whenever it wants to be."""
    over = threading.Event()

    def go_on() -> None:
        with engine.connect(dsn) as conn:
            wait = 0.0
            while not over.wait(max(0.0, wait)):
                wait = engine.value(conn, "select extract(epoch from maintain() - clock())::float8")

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def many_claimers(dsn: str, size: float) -> Run:
    """Steps a second by ever more connections, ten to a call."""
    run: Run = {}
    seconds = scaled(4, size)
    with engine.connect(dsn) as conn:
        for number in CLAIMERS:
            missing = 4_000 * (claimers.WARM_UP + seconds) - engine.value(conn, LEFT)
            creating.create(conn, "linear", max(0, missing))
            conn.execute("checkpoint")
            run[f"steps/s, {number} claimers"] = claimers.steps_per_second(
                dsn, number, CLAIM, seconds
            )
    return {"% of the best": 100 * list(run.values())[-1] / max(run.values()), **run}


def wide_join(dsn: str, size: float) -> Run:
    """A step, ten thousand after it and one after these, against six in a row; one client."""
    width = scaled(WIDTH, size)
    linear = scaled(WIDTH // 6, size)
    run: Run = {}
    with engine.connect(dsn) as conn:
        register_wide(conn, width)
        for name, tasks, steps in (("linear", linear, 6), ("wide", 1, width + 2)):
            conn.execute("checkpoint")
            mark, created = Mark.of(conn), list[float]()
            with engine.stopwatch(created):
                creating.create(conn, name, tasks)
            worked = bare.work_off(dsn, BATCH)
            mark.require(conn, tasks=tasks, steps=steps)
            run[f"us a step, {name}"] = 1e6 * (worked.ended - worked.began) / worked.steps
            run[f"creation, us a step, {name}"] = 1e6 * created[0] / worked.steps
    return {"times a linear step": run["us a step, wide"] / run["us a step, linear"], **run}


def register_wide(conn: engine.Connection, width: int) -> None:
    """A workflow with so many parallel steps between a first and a last one."""
    middle = [f"w{number}" for number in range(width)]
    steps: list[dict[str, object]] = [{"name": "first"}]
    steps += [{"name": name, "depends_on": ["first"]} for name in middle]
    steps += [{"name": "last", "depends_on": middle}]
    document = {"namespace": "bench", "name": "wide", "version": "1.0.0", "steps": steps}
    conn.execute("select register_workflow(%s)", [Jsonb(document)])
