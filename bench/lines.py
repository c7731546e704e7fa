"""What each line of the table of targets does in a database, once.

Responsible for one run of each: its size, what is counted as its time, and the proof that it was
done. How often, where and against what is left to targets.py.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from bench import engine, fleet
from bench.drivers import bare, creating, runners
from bench.figures import Run
from bench.proof import Mark
from pgtasker import Client

BATCH = 100
CLIENTS = 2
SECONDS = 1  # of each look at creation one by one
CONCURRENCY = 100  # of each runner that is measured for its rate
PATIENCE = 120.0  # seconds

WAKING = """
    select tgname from pg_trigger
    where tgrelid = 'step_queue'::regclass and tgfoid::regproc::text like '%wake%'
"""
WAL = "select pg_current_wal_insert_lsn() - '0/0', wal_fpi from pg_stat_wal"
SPAN = """
    select extract(epoch from max(created_at) - min(created_at))::float8
    from workflow_step_transitions
    where workflow_step_id > %s
"""


def prepare(dsn: str) -> None:
    """The workflows that all of this starts."""
    with Client(dsn, schema="pgtasker") as client:
        client.register_many(runners.workflows(lambda _: None))


def scaled(number: int, size: float) -> int:
    return max(1, round(number * size))


def bare_linear(dsn: str, size: float) -> Run:
    """Six-step tasks by clients that only call `advance_json`; and the WAL of that."""
    tasks = scaled(10_000, size)
    with engine.connect(dsn) as conn:
        conn.execute("checkpoint")
        mark = Mark.of(conn)
        creating.create(conn, "linear", tasks)
        wal_before, server_before = _wal(conn), fleet.server_cpu(conn)
        worked = fleet.together(bare.work_off, [(dsn, BATCH)] * CLIENTS)
        server = fleet.server_cpu(conn) - server_before
        wal = [after - before for after, before in zip(_wal(conn), wal_before, strict=True)]
        mark.require(conn, tasks=tasks, steps=6)
    steps = sum(one.steps for one in worked)
    seconds = max(one.ended for one in worked) - min(one.began for one in worked)
    return {
        "steps/s": steps / seconds,
        "WAL, kB a task": wal[0] / tasks / 1000,
        "full-page images a task": wal[1] / tasks,
        "server, us a step": 1e6 * server / steps,
        "clients, us a step": 1e6 * sum(one.cpu for one in worked) / steps,
    }


def _wal(conn: engine.Connection) -> tuple[float, float]:
    conn.execute("select pg_stat_force_next_flush()")
    row = conn.execute(WAL).fetchone()
    assert row is not None
    return float(row[0]), float(row[1])


def through_runner(name: str, steps: int, most_tasks: int, dsn: str, size: float) -> Run:
    """Tasks that wait in a paused queue until two runners, each a process, are let at them."""
    tasks = scaled(most_tasks, size)
    with engine.connect(dsn) as conn:
        conn.execute("checkpoint")
        mark = Mark.of(conn)
        conn.execute("select pause_queue('default')")
        creating.create(conn, name, tasks)
        with runners.running(dsn, processes=2, concurrency=CONCURRENCY) as crew:
            server, clients = fleet.server_cpu(conn), crew.cpu()
            conn.execute("select resume_queue('default')")
            _await_end(conn)
            server, clients = fleet.server_cpu(conn) - server, crew.cpu() - clients
        mark.require(conn, tasks=tasks, steps=steps)
        seconds = engine.value(conn, SPAN, mark.step)
    return {
        "steps/s": steps * tasks / seconds,
        "tasks/s": tasks / seconds,
        "server, us a step": 1e6 * server / tasks / steps,
        "runners, us a step": 1e6 * clients / tasks / steps,
    }


def _await_end(conn: engine.Connection) -> None:
    deadline = time.monotonic() + PATIENCE
    while engine.value(conn, "select exists (select from tasks where not complete)"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"tasks are still unfinished after {PATIENCE:.0f} s")
        time.sleep(0.05)


runner_async = partial(through_runner, "linear", 6, 3_000)
runner_sync = partial(through_runner, "linear_sync", 6, 2_000)
runner_single = partial(through_runner, "single", 1, 12_000)


def bulk_creation(dsn: str, size: float) -> Run:
    """Six-step tasks, a thousand with each call, by one connection and by two."""
    run: Run = {}
    for clients in (1, 2):
        tasks = 1000 * scaled(20, size)
        calls = [(dsn, "linear", tasks // clients)] * clients
        with engine.connect(dsn) as conn:
            conn.execute("checkpoint")  # of what was written before
        spans = fleet.together(creating.in_bulk, calls)
        seconds = max(ended for _, ended in spans) - min(began for began, _ in spans)
        run[f"tasks/s, {clients} connections"] = tasks // clients * clients / seconds
    return {"tasks/s": max(run.values()), **run}


def one_by_one(dsn: str, size: float) -> Run:
    """Creation by 16 connections, against the same without the triggers that wake runners."""
    run: Run = {}
    with engine.connect(dsn) as conn:
        for beside in ("no runner", "a busy runner"):
            with _busy(dsn, conn) if beside == "a busy runner" else _nobody():
                ratios, rates = [], []
                for pair in range(scaled(8, size)):
                    sides = {}
                    for wakes in (True, False) if pair % 2 else (False, True):
                        _set_waking(conn, wakes)
                        sides[wakes] = creating.one_by_one(dsn, "linear", 16, SECONDS)
                    ratios.append(100 * sides[True] / sides[False])
                    rates.append(sides[True])
                _set_waking(conn, True)
            run[f"% beside {beside}"] = statistics.median(ratios)
            run[f"tasks/s beside {beside}"] = statistics.median(rates)
    worst = min(value for name, value in run.items() if name.startswith("%"))
    return {"% of the same without wake-ups": worst, **run}


def _set_waking(conn: engine.Connection, wakes: bool) -> None:
    names = [name for (name,) in conn.execute(WAKING).fetchall()]
    if not names:
        raise LookupError("no trigger of step_queue wakes runners")
    for name in names:
        verb = "enable" if wakes else "disable"
        conn.execute(f'alter table step_queue {verb} trigger "{name}"'.encode())


@contextmanager
def _nobody() -> Iterator[None]:
    yield


@contextmanager
def _busy(dsn: str, conn: engine.Connection) -> Iterator[None]:
    """A runner whose only slot is taken, so that it does not wait for work."""
    with runners.running(dsn, concurrency=1):
        conn.execute("select create_task('holding', namespace => 'bench')")
        deadline = time.monotonic() + PATIENCE
        while not engine.value(conn, "select exists (select from claim_batches)"):
            if time.monotonic() > deadline:
                raise TimeoutError("the runner has not begun")
            time.sleep(0.02)
        yield


def come_to_rest(conn: engine.Connection) -> None:
    """As it is some minutes after the line before: latencies are those of an idle machine."""
    conn.execute("vacuum analyze")
    conn.execute("checkpoint")


def pickup(dsn: str, size: float) -> Run:
    """From just before `create_task` to the start of the handler in another process."""
    tasks = scaled(200, size)
    with engine.connect(dsn) as conn:
        come_to_rest(conn)
        mark = Mark.of(conn)
        with runners.running(dsn) as crew:
            time.sleep(1.0)
            create_timed(conn, tasks)
        mark.require(conn, tasks=tasks, steps=1)
    latencies = sorted(1000 * seconds for seconds in crew.latencies)
    return {
        "ms, p50": statistics.median(latencies),
        "ms, p99": latencies[math.ceil(0.99 * len(latencies)) - 1],
        "ms, max": latencies[-1],
    }


def create_timed(conn: engine.Connection, tasks: int) -> None:
    """Start one every 100 ms that knows when it was asked for, and wait for the last."""
    create = "select create_task('timed', namespace => 'bench', context => %s::jsonb)"
    due = time.monotonic()
    for _ in range(tasks):
        due += 0.1
        time.sleep(max(0.0, due - time.monotonic()))
        context = f'{{"at": {time.monotonic()}, "payload": "{"x" * 160}"}}'
        conn.execute(create, [context], prepare=True)
    _await_end(conn)


def alone(dsn: str, size: float) -> Run:
    """One six-step task at a time: from `Client.start` to the return of `Client.wait`."""
    tasks = scaled(40, size)
    seconds: list[float] = []
    with engine.connect(dsn) as conn, Client(dsn, schema="pgtasker") as client:
        come_to_rest(conn)
        mark = Mark.of(conn)
        with runners.running(dsn):
            for _ in range(tasks):
                time.sleep(0.05)
                with engine.stopwatch(seconds):
                    task_id = client.start("bench/linear", engine.CONTEXT)
                    client.wait(task_id, timeout=PATIENCE)
        mark.require(conn, tasks=tasks, steps=6)
        by_log = engine.value(conn, ALONE, mark.task)
    return {
        "ms, p50": 1000 * statistics.median(seconds),
        "ms, p50 from the first to the last row of the log": 1000 * by_log,
    }


ALONE = """
    select percentile_cont(0.5) within group (order by task.seconds)
    from (
        select extract(epoch from max(log.created_at) - min(task.created_at))::float8 as seconds
        from tasks task
        join workflow_steps step on step.task_id = task.task_id
        join workflow_step_transitions log on log.workflow_step_id = step.workflow_step_id
        where task.task_id > %s
        group by task.task_id
    ) task
"""
