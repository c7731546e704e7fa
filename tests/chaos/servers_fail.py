"""The server crashes, is replaced by its standby, or has no room left."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from psycopg.conninfo import make_conninfo

from .fleet import Load, until
from .place import CannotHappenError, Measured, Place, percentile, witness
from .servers import HOST, Server


def crashed(place: Place, times: int) -> Measured:
    """`pg_ctl stop -m immediate` and start, under load."""
    took, away = [], []
    with place.server() as server:
        dsn = server.dsn(server.database())
        with place.fleet(dsn, "--concurrency", "8") as fleet, witness(dsn) as seen:
            fleet.start(2)
            fleet.ready()
            with Load(dsn, place.seed, pause=0.03, seconds=0.05) as load:
                for _ in range(times):
                    before = _rate(load, seconds=place.random.uniform(1, 4 if times > 3 else 1.5))
                    at = time.monotonic()
                    server.stop("immediate")
                    server.start()
                    answers = time.monotonic()
                    away.append(answers - at)
                    known = seen.completed()
                    seen.wait_for(known + before)
                    took.append(time.monotonic() - answers)
                started = load.stop()
            seen.settle(started)
        assert "PANIC" not in server.log
    return Measured(
        f"{times} crashes, {len(started):,} tasks acknowledged and there: full rate again "
        f"{percentile(took, 0.5):.1f} s (p50), {max(took):.1f} s (most) after the server answers; "
        "no attempt lost",
        max(took) <= 10,
    )


def _rate(load: Load, seconds: float) -> int:
    """How many steps a second of this load brings, from the tasks that it starts meanwhile."""
    before = len(load.started)
    time.sleep(seconds)
    return max(4, int(4 * (len(load.started) - before) / seconds))


def failed_over(place: Place, times: int) -> Measured:
    """The primary crashes and its standby is promoted; the DSN names both."""
    return _fail_over(place, times, synchronous=False)


def failed_over_synchronously(place: Place, times: int) -> Measured:
    """The same, with a standby that had confirmed each commit."""
    return _fail_over(place, times, synchronous=True)


def _fail_over(place: Place, times: int, *, synchronous: bool) -> Measured:
    took, lost, acknowledged = [], 0, 0
    for number in range(times):
        with place.server() as primary:
            name = primary.database()
            standby = Server.standby_of(primary, place.path("standby"))
            try:
                if synchronous:
                    with primary.admin() as conn:
                        conn.execute("alter system set synchronous_standby_names = '*'")
                        conn.execute("select pg_reload_conf()")
                    _wait_for_standby(primary, "sync")
                else:
                    _wait_for_standby(primary, "async")
                dsn = make_conninfo(
                    primary.dsn(name),
                    host=f"{HOST},{HOST}",
                    port=f"{primary.port},{standby.port}",
                    target_session_attrs="read-write",
                )
                with place.fleet(dsn, "--concurrency", "8") as fleet:
                    fleet.start(2)
                    fleet.ready()
                    with Load(dsn, place.seed + number, pause=0.02, seconds=0.05) as load:
                        load.wait_for(60)
                        primary.stop("immediate")
                        at = time.monotonic()
                        standby.promote()
                        with witness(standby.dsn(name)) as seen:
                            before = seen.completed()
                            seen.wait_for(before + 1)
                            took.append(time.monotonic() - at)
                            started = load.stop()
                            there = {row.task_id for row in seen.rows("select task_id from tasks")}
                            acknowledged += len(started)
                            lost += len(set(started) - there)
                            if synchronous:
                                assert set(started) <= there
                            kept = [task for task in started if task in there]
                            seen.settle(kept)
            finally:
                standby.remove()
    return Measured(
        f"{times} failovers: first step {percentile(took, 0.5):.1f} s (p50), {max(took):.1f} s "
        f"(most) after the promotion; {lost} of {acknowledged:,} acknowledged tasks lost",
        max(took) <= 5 and (lost == 0 or not synchronous),
    )


def _wait_for_standby(primary: Server, state: str) -> None:
    with primary.admin() as conn:
        until(
            lambda: conn.execute(
                "select 1 from pg_stat_replication where state = 'streaming' and sync_state = %s",
                [state],
            ).fetchone(),
            f"the standby is {state}",
        )


def disk_full(place: Place, times: int) -> Measured:
    """The data directory has no room left: callers are told, and work goes on when there is."""
    if os.geteuid() != 0:
        raise CannotHappenError("only root can mount a small file system")
    mount = place.path("disk")
    mount.mkdir(mode=0o755)
    command = ["mount", "-t", "tmpfs", "-o", "size=320m,mode=755", "tmpfs", str(mount)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        raise CannotHappenError("a small file system cannot be mounted here")
    try:
        return _fill_disk(place, mount, times)
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def _fill_disk(place: Place, mount: Path, times: int) -> Measured:
    settings = {"max_wal_size": "64MB", "min_wal_size": "32MB", "shared_buffers": "32MB"}
    server = Server(place.bindir, mount / "data", settings)
    ballast, told = mount / "ballast", set()
    took = []
    try:
        dsn = server.dsn(server.database())
        with place.fleet(dsn, "--concurrency", "4") as fleet, witness(dsn) as seen:
            fleet.start(1)
            fleet.ready()
            started: list[int] = []
            for number in range(times):
                with Load(dsn, place.seed + number, pause=0, seconds=0.01) as load:
                    load.wait_for(20)
                    _fill(ballast)
                    until(lambda: bool(load.refusals), "callers are told")
                    told |= {each[:5] for each in load.refusals}
                    at = time.monotonic()
                    ballast.unlink()
                    if not (server.data / "postmaster.pid").exists():
                        server.start()  # without room for its log the server stops itself
                    count = len(load.started)
                    load.wait_for(count + 5)
                    took.append(time.monotonic() - at)
                    started += load.stop()
            seen.settle(started)
    finally:
        server.remove()
    return Measured(
        f"{times} times, refused with {', '.join(sorted(told))}; work goes on {max(took):.1f} s "
        "(most) after there is room; nothing lost",
        max(took) <= 15,
    )


def _fill(ballast: Path) -> None:
    """Take all the room there is."""
    block = b"\0" * 65536
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(block)
        except OSError:
            return
