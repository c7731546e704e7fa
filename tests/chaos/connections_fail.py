"""Connections die, answers are lost, poolers are restarted, the server is full."""

from __future__ import annotations

import time
from contextlib import suppress

import psycopg
from psycopg.conninfo import make_conninfo

from .fleet import Load, until
from .place import CannotHappenError, Measured, Place, Witness, percentile, witness
from .proxy import Proxy
from .servers import HOST, Pooler
from .transactions_fail import CUT_OFF, check_books, open_books

LEASE = 2.0  # seconds
CROWDED = "too many clients"
WINDOW = 10.0  # seconds in which throughput is counted, without the fault and with it


def terminated(place: Place, times: int) -> Measured:
    """pg_terminate_backend of any runner's connection, twice a second."""
    server = place.shared
    dsn = server.dsn(server.database())
    rates: dict[bool, list[float]] = {False: [], True: []}
    ended = 0
    with place.fleet(dsn, "--concurrency", "10") as fleet, witness(dsn) as seen:
        fleet.start(2)
        fleet.ready()
        # More work than the slots can do: throughput is what the runners make of it.
        with Load(dsn, place.seed, pause=0.014, seconds=0.1, failing=0) as load:
            load.wait_for(50)
            window = min(WINDOW, times / 4)
            while ended < times:
                for disturbed in (False, True):
                    before, at = seen.completed(), time.monotonic()
                    while time.monotonic() < at + window:
                        time.sleep(0.5)
                        if disturbed:
                            ended += terminate_one(place, seen)
                    rates[disturbed].append((seen.completed() - before) / (time.monotonic() - at))
            started = load.stop()
        seen.settle(started)
        without, beside = (sum(rates[each]) / len(rates[each]) for each in (False, True))
        return Measured(
            f"{ended} connections ended, {without:.0f} steps/s without, {beside:.0f} steps/s "
            f"with it ({100 * beside / without:.0f} %); no attempt lost",
            beside >= 0.9 * without,
        )


def terminate_one(place: Place, seen: Witness) -> int:
    """End a connection of some runner; how many were ended."""
    pids = [
        row.pid
        for row in seen.rows(
            "select pid from pg_stat_activity where datname = current_database()"
            " and application_name = 'pgtasker' order by pid"
        )
    ]
    if not pids:
        return 0
    return int(seen.one("select pg_terminate_backend(%s)", place.random.choice(pids)))


def answers_lost(place: Place, times: int) -> Measured:
    """The socket is cut after the commit, before the answer: what was reported counts once."""
    server = place.shared
    name = server.database(lease="3 s")  # so that there is a heartbeat each second
    proxy = Proxy(HOST, server.port)
    through = make_conninfo(
        server.dsn(name), port=proxy.port, sslmode="disable", gssencmode="disable"
    )
    try:
        with place.fleet(through, "--concurrency", "4") as fleet, witness(server.dsn(name)) as seen:
            fleet.start(2)
            fleet.ready()
            with Load(through, place.seed, pause=0.05, seconds=0.03, failing=0) as load:
                for number in range(times):
                    proxy.lose(("advance", "create_task", "heartbeat")[number % 3])
                started = load.stop()
            seen.settle(started)
            keys = seen.one("select count(distinct idempotency_key) from task_list")
            tasks = seen.one("select count(*) from task_list")
            assert keys == tasks == len(started)
            more = seen.one(
                "select count(*) from workflow_step_transitions"
                " where attempts > 1 and to_state = 'complete'"
            )
            assert more == 0, "a lost answer cost an attempt"
            return Measured(
                f"{times} answers lost, {tasks:,} tasks: each start and each outcome counted once, "
                "attempts lost 0"
            )
    finally:
        proxy.close()


def stalled(place: Place, times: int) -> Measured:
    """Nothing comes through to or from one runner for longer than its lease, and nothing is cut."""
    server = place.shared
    name = server.database(lease=f"{LEASE:g} s")
    proxy = Proxy(HOST, server.port)
    through = make_conninfo(
        server.dsn(name), port=proxy.port, sslmode="disable", gssencmode="disable"
    )
    try:
        with place.fleet(through, "--concurrency", "8") as fleet, witness(server.dsn(name)) as seen:
            [runner] = fleet.start(1)
            fleet.dsn = server.dsn(name)
            fleet.start(1)
            fleet.ready()
            fleet.gone.add(runner.name)
            with Load(server.dsn(name), place.seed, pause=0.03, seconds=0.1) as load:
                for number in range(times):
                    seen.wait_until_it_holds(runner.name)
                    proxy.stall()
                    seen.wait_until_given_up(runner.name)
                    proxy.flow()
                    runner.says("runner registered", number + 2)
                started = load.stop()
            seen.settle(started, gone=fleet.gone)
            assert seen.stale_writes() == 0
    finally:
        proxy.close()
    return Measured(
        f"{times} silences of {LEASE:g} s and more, {len(started):,} tasks: accepted stale writes "
        "0, the runner is back by itself"
    )


def pooled(place: Place, times: int) -> Measured:
    """Everything goes through PgBouncer in transaction mode, which is restarted."""
    program = Pooler.find()
    if program is None:
        raise CannotHappenError("pgbouncer is not installed here")
    lease = 3.0
    server = place.shared
    name = server.database(lease=f"{lease:g} s", poll_interval="500 ms")
    pooler = Pooler(program, place.path("pooler"), server)
    killed_at = {}
    try:
        dsn = pooler.dsn(name)
        with place.fleet(dsn, "--concurrency", "8") as fleet, witness(server.dsn(name)) as seen:
            fleet.start(2, "--coordination", "poll", "--poll-interval", "0.2")
            fleet.start(1)  # it listens in vain, and polls
            fleet.ready()
            open_books(seen)
            with (
                Load(dsn, place.seed, pause=0.03, seconds=0.05) as load,
                Load(dsn, place.seed + 1, pause=0.1, seconds=0.05, workflow="ledger") as entries,
            ):
                for number in range(times):
                    before = seen.completed()
                    pooler.restart()
                    seen.wait_for(before + 20 * times)  # the more, the longer
                    if number == 0:
                        victim = fleet.living[0]
                        seen.wait_until_it_holds(victim.name)
                        killed_at[victim.name] = fleet.kill(victim)
                started = load.stop() + entries.stop()
            seen.settle(started, gone=fleet.gone, failures=CUT_OFF)
            check_books(seen)
            took = [at - killed_at[name] for name, at in seen.takeovers() if name in killed_at]
            most = f", takeover by lease after {max(took):.1f} s of {lease:g}" if took else ""
            return Measured(
                f"{times} restarts of PgBouncer, {len(started):,} tasks{most}; nothing lost",
                not took or max(took) <= lease,
            )
    finally:
        pooler.close()


def crowded_out(place: Place, times: int) -> Measured:
    """Every connection of the server is taken by others: runners wait, callers are told."""
    took = []
    with place.server({"max_connections": "14", "superuser_reserved_connections": "0"}) as server:
        name = server.database()
        dsn = server.dsn(name)
        with place.fleet(dsn, "--concurrency", "4") as fleet, witness(dsn) as seen:
            fleet.start(2)
            fleet.ready()
            started: list[int] = []
            for number in range(times):
                with Load(dsn, place.seed + number, pause=0.02) as load:
                    load.wait_for(5)
                    seen.completed()  # its connection is not one of those that come too late
                    crowd = _crowd(server.dsn(), seen)
                    until(lambda load=load: CROWDED in " ".join(load.refusals), "callers are told")
                    until(lambda: CROWDED in fleet.said(), "runners are told")
                    for each in crowd:
                        each.close()
                    at, before = time.monotonic(), seen.completed()
                    seen.wait_for(before + 1)
                    took.append(time.monotonic() - at)
                    started += load.stop()
            seen.settle(started)
    return Measured(
        f"{times} times, refused with 'sorry, too many clients already'; work goes on "
        f"{percentile(took, 0.95):.1f} s after there is room (p95); nothing lost",
        max(took) <= 15,
    )


def _crowd(dsn: str, seen: Witness) -> list[psycopg.Connection[object]]:
    """Sessions that take every place; those who had one are sent away first."""
    crowd: list[psycopg.Connection[object]] = []
    for _ in range(200):
        with suppress(psycopg.OperationalError):
            while True:
                crowd.append(psycopg.connect(dsn, autocommit=True))
        others = seen.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        if not others:
            return crowd
    raise AssertionError("there is always somebody who comes back sooner")
