"""Loads of unusual shape and depth, each beside the usual one in the same run.

Responsible for one comparison each: graphs, queues, priorities, backlogs, settings of the server,
fleets that idle. What is measured is the work of bare clients where nothing else is said; how it
reads is left to scaling.py.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import Jsonb

from bench import engine, fleet, lines, weather
from bench.drivers import bare, creating, runners
from bench.lines import BATCH, CLIENTS, scaled

STEPS = 24_000  # of a usual load
MANY = 50  # queues, priorities
RUNNERS = 100
WORKING = 3.0  # seconds that a runner works whose memory is measured
COMMITS = "select xact_commit from pg_stat_database where datname = current_database()"
TABLES = """
    select quote_ident(relname) from pg_class
    where relnamespace = current_schema()::regnamespace and relkind = 'r'
"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line: something measured of a usual load and of another."""

    load: str
    measured: str
    usual: float
    other: float


def graphs(dsn: str, size: float) -> list[Comparison]:
    """Six steps in a row against a wide task, and against a long chain; one client."""
    wide = weather.wide_join(dsn, size)
    tasks, steps = scaled(50, size), 1000
    with engine.connect(dsn) as conn:
        _register(conn, "chain", steps)
        creating.create(conn, "chain", tasks)
        chain = bare.work_off(dsn, BATCH)
        creating.create(conn, "linear", scaled(STEPS // 6, size))
        usual = bare.work_off(dsn, tasks)
    width = scaled(weather.WIDTH, size)
    name, chains = f"a task with {width:,} parallel steps", f"{tasks} tasks of {steps:,} steps"
    return [
        Comparison(name, "us a step", wide["us a step, linear"], wide["us a step, wide"]),
        Comparison(
            name,
            "creation, us a step",
            wide["creation, us a step, linear"],
            wide["creation, us a step, wide"],
        ),
        Comparison(f"{chains} in a row", "us a step", _cost(usual), _cost(chain)),
    ]


def _cost(worked: bare.Worked) -> float:
    return 1e6 * (worked.ended - worked.began) / worked.steps


def _register(conn: engine.Connection, name: str, steps: int, queue: str = "default") -> None:
    document = {
        "namespace": "bench",
        "name": name,
        "version": "1.0.0",
        "steps": [
            {
                "name": f"s{number}",
                "depends_on": [f"s{number - 1}"] if number else [],
                "queue": queue,
            }
            for number in range(steps)
        ],
    }
    conn.execute("select register_workflow(%s)", [Jsonb(document)])


def _rate(dsn: str, queues: Sequence[str] = ("default",), most: float = float("inf")) -> float:
    """Steps a second by two clients."""
    calls = [(dsn, BATCH, queues, most / CLIENTS)] * CLIENTS
    worked = fleet.together(_work_off, calls)
    seconds = max(one.ended for one in worked) - min(one.began for one in worked)
    return sum(one.steps for one in worked) / seconds


def _work_off(dsn: str, batch: int, queues: Sequence[str], most: float) -> bare.Worked:
    return bare.work_off(dsn, batch, queues=queues, most=most)


def queues_and_priorities(dsn: str, size: float) -> list[Comparison]:
    """Single-step tasks of one queue and priority, against as many in fifty of either."""
    tasks = scaled(STEPS // MANY, size)
    queues = [f"queue_{number}" for number in range(MANY)]
    with engine.connect(dsn) as conn:
        creating.create(conn, "single", MANY * tasks)
        usual = _rate(dsn)
        for queue in queues:
            _register(conn, f"single_{queue}", 1, queue)
            creating.create(conn, f"single_{queue}", tasks)
        in_queues = _rate(dsn, queues)
        for priority in range(MANY):
            creating.create(conn, "single", tasks, priority=priority)
        in_priorities = _rate(dsn)
    return [
        Comparison(f"{MANY} queues of one runner", "tasks/s", usual, in_queues),
        Comparison(f"{MANY} priorities", "tasks/s", usual, in_priorities),
    ]


def backlogs(dsn: str, size: float) -> list[Comparison]:
    """Single-step tasks alone, with many that are not due beside them, and with many before them
    in the queue; and what a runner has in memory that works on the first and on the last."""
    steps = scaled(STEPS, size)
    scheduled, ready = scaled(100_000, size), scaled(1_000_000, size)
    with engine.connect(dsn) as conn:
        creating.create(conn, "single", steps)
        usual = _rate(dsn)
        creating.create(conn, "single", steps)
        usual_memory = _peak_memory(dsn, size)
        creating.create(conn, "single", scheduled, delay="1 day")
        creating.create(conn, "single", steps)
        beside_scheduled = _rate(dsn, most=steps)
        creating.create(conn, "single", ready)
        deep = _rate(dsn, most=steps)
        deep_memory = _peak_memory(dsn, size)
    return [
        Comparison(f"{scheduled:,} steps that are not due", "tasks/s", usual, beside_scheduled),
        Comparison(f"{ready:,} steps that are ready", "tasks/s", usual, deep),
        Comparison(
            f"{ready:,} steps that are ready", "runner at work, MB", usual_memory, deep_memory
        ),
    ]


def _peak_memory(dsn: str, size: float) -> float:
    """The most that a runner has in memory which works for a while, in MB."""
    with runners.running(dsn, concurrency=lines.CONCURRENCY) as crew:
        time.sleep(max(0.5, WORKING * size))
        return max(map(fleet.peak_memory, crew.process_ids))


def settings(dsn: str, size: float) -> list[Comparison]:
    """Six-step tasks with durable commits and without; a churn with autovacuum and without."""
    tasks, last = scaled(STEPS // 6, size), scaled(20, size)
    options = f"{conninfo_to_dict(dsn).get('options', '')} -c synchronous_commit=off"
    rates = []
    with engine.connect(dsn) as conn:
        for where in (dsn, make_conninfo(dsn, options=options)):
            creating.create(conn, "linear", tasks)
            rates.append(_rate(where))
        creating.create(conn, "linear", 4_000)
        churns = []
        for setting in ("on", "off"):
            with _autovacuum(conn, setting):
                calls = [(dsn, BATCH, 3 * last, last)] * CLIENTS
                churns.append(sum(fleet.together(bare.churn, calls)))
    return [
        Comparison("synchronous_commit off", "steps/s", rates[0], rates[1]),
        Comparison(f"autovacuum off for {3 * last} s of churn", "steps/s", churns[0], churns[1]),
    ]


@contextmanager
def _autovacuum(conn: engine.Connection, setting: str) -> Iterator[None]:
    """Of the tables of this install, as long as the block lasts."""
    tables = [name for (name,) in conn.execute(TABLES).fetchall()]
    for table in tables:
        conn.execute(f"alter table {table} set (autovacuum_enabled = {setting})".encode())
    yield
    for table in tables:
        conn.execute(f"alter table {table} reset (autovacuum_enabled)".encode())


def idle_fleet(dsn: str, size: float) -> list[Comparison]:
    """One idle runner against a hundred in two processes: transactions on the server, CPU, pickup
    latency."""
    sides = []
    half = scaled(RUNNERS // 2, size)
    for processes, each in ((1, 1), (2, half)):
        with (
            engine.connect(dsn) as conn,
            runners.running(dsn, processes=processes, runners=each) as crew,
        ):
            time.sleep(3.0)
            seconds = max(1.0, 20 * size)
            before = _commits(conn), fleet.server_cpu(conn), crew.cpu()
            time.sleep(seconds)
            after = _commits(conn), fleet.server_cpu(conn), crew.cpu()
            idle = [(end - start) / seconds for end, start in zip(after, before, strict=True)]
            lines.create_timed(conn, scaled(100, size))
        latencies = [1000 * each for each in crew.latencies]
        sides.append([*idle[:1], *(100 * each for each in idle[1:]), statistics.median(latencies)])
    names = ("transactions/s", "server, % of a CPU", "runners, % of a CPU", "pickup, p50, ms")
    fleet_of = f"{2 * half} idle runners, instead of one"
    return [
        Comparison(fleet_of, name, usual, other)
        for name, usual, other in zip(names, *sides, strict=True)
    ]


def _commits(conn: engine.Connection) -> float:
    conn.execute("select pg_stat_clear_snapshot()")
    return float(engine.value(conn, COMMITS))
