"""Everything at once, for as long as it is let: mixed load, every fault, operators in between."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from pathlib import Path

import psycopg

from ..support.invariants import assert_kept
from .connections_fail import terminate_one
from .fleet import Fleet, Load, Runner
from .place import Measured, Place, Witness, witness
from .servers import Server
from .transactions_fail import CUT_OFF, check_books, open_books

FAULTS = ("kill", "kill", "freeze", "shut down", "terminate", "terminate", "operate", "operate")
SELDOM = 12  # of so many faults one is a crash of the server
LEASE = 3.0
HOT = ("step_queue", "claim_batches", "runners", "queue_heads")


def soaked(place: Place, seconds: int) -> Measured:
    """All faults in random order; every promise is checked at the end, and that nothing grows."""
    with place.server({"autovacuum_naptime": "5s"}) as server:
        dsn = server.dsn(server.database(lease=f"{LEASE:g} s"))
        with place.fleet(dsn, "--concurrency", "8", "--grace", "1") as fleet, witness(dsn) as seen:
            fleet.start(3)
            fleet.ready()
            sizes: list[tuple[int, int]] = []
            counts: dict[str, int] = {}
            began = time.monotonic()
            open_books(seen)
            with (
                Load(dsn, place.seed, pause=0.03, seconds=0.05) as load,
                Load(dsn, place.seed + 1, pause=0.2, seconds=0.05, workflow="ledger") as entries,
            ):
                while time.monotonic() < began + seconds:
                    crash = place.random.randrange(SELDOM) == 0
                    fault = "crash" if crash else place.random.choice(FAULTS)
                    _inject(place, fault, server, fleet, seen)
                    counts[fault] = counts.get(fault, 0) + 1
                    time.sleep(place.random.uniform(0.1, 0.5))
                    with suppress(psycopg.Error):
                        sizes.append((_hot_bytes(seen), max(map(_memory, fleet.living))))
                started = load.stop() + entries.stop()
            _go_on(seen)
            seen.wait_until_settled()
            assert_kept(
                seen.conn,
                settled=True,
                started=started,
                gone=fleet.gone,
                failures=CUT_OFF,
            )
            check_books(seen)
            half = len(sizes) // 2
            early, late = (
                [max(each[column] for each in part) for column in (0, 1)]
                for part in (sizes[: half + 1], sizes[half:])
            )
            injected = ", ".join(f"{count} x {fault}" for fault, count in sorted(counts.items()))
            return Measured(
                f"{time.monotonic() - began:.0f} s, {len(started):,} tasks, {injected}: all "
                f"promises kept; hot tables at most {early[0] // 1024:,} kB in the first half and "
                f"{late[0] // 1024:,} kB in the second, a runner {early[1] // 1024:,} kB and "
                f"{late[1] // 1024:,} kB",
                late[0] < 2 * early[0] + 1_000_000 and late[1] < 1.2 * early[1],
            )


def _inject(place: Place, fault: str, server: Server, fleet: Fleet, seen: Witness) -> None:
    runner = place.random.choice(fleet.living)
    if fault == "kill":
        fleet.kill(runner)
        fleet.start()
    elif fault == "freeze":
        fleet.gone.add(runner.name)
        runner.signal(signal.SIGSTOP)
        time.sleep(place.random.uniform(0.5, 2 * LEASE))
        runner.signal(signal.SIGCONT)
    elif fault == "shut down":
        runner.says("runner registered")  # before that it has nothing to give back
        fleet.living.remove(runner)
        runner.signal(signal.SIGTERM)
        fleet.start()
        # Without a server nobody can give back what it holds: then its lease does.
        assert runner.process.wait(30) == 0, runner.said
    elif fault == "crash":
        server.stop("immediate")
        server.start()
    else:
        with suppress(psycopg.Error):
            if fault == "terminate":
                terminate_one(place, seen)
            else:
                _operate(place, seen)


def _operate(place: Place, seen: Witness) -> None:
    """An operator does something to some task that is at work, or was lately."""
    tasks = [
        row.task_id for row in seen.rows("select task_id from task_list order by 1 desc limit 40")
    ]
    if tasks:
        verb = place.random.choice(["cancel", "pause", "resume", "retry", "resolve"])
        seen.rows(f"select {verb}_task(task_id => %s)", place.random.choice(tasks))


def _go_on(seen: Witness) -> None:
    """Resume what an operator has paused."""
    for row in seen.rows("select task_id from task_list where paused"):
        seen.rows("select resume_task(task_id => %s)", row.task_id)


def _hot_bytes(seen: Witness) -> int:
    return int(
        seen.one(
            "select sum(pg_total_relation_size(name::regclass)) from unnest(%s::text[]) name",
            [*HOT],
        )
    )


def _memory(runner: Runner) -> int:
    """The resident bytes of a runner's process."""
    status = Path(f"/proc/{runner.process.pid}/statm")
    try:
        return int(status.read_text().split()[1]) * 4096
    except (OSError, IndexError):
        return 0
