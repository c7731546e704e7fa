"""One engine at work in a fresh database: draining its jobs, its workflows, picking up a job.

Responsible for starting its driver and its workers, for when the work was done, and for the figures
of that. What drives the engine is in drive/, where it is installed is left to environments.py.
"""

from __future__ import annotations

import math
import os
import statistics
import struct
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bench import engine
from bench.peers import environments
from bench.peers.environments import Peer

DRIVERS = Path(__file__).parent / "drive"
ROOT = Path(__file__).parents[2]
DATABASE = f"pgtasker_bench_peer_{os.getpid()}"  # two may run on one server
WORKERS = 2
WARM_UP = 3.0  # seconds an idle worker is given
PATIENCE = 120.0  # seconds for all that was started


class NotMeasuredError(Exception):
    """The engine, or its driver, failed."""


class Trial:
    """An engine, the Python that drives it, and the server that all share."""

    def __init__(self, peer: Peer, python: Path, server: str) -> None:
        self.peer = peer
        self.python = python
        self.server = server

    def drain(self, command: str, total: int) -> float:
        """Jobs or workflows a second by two workers, from the start of the first to the end of the
        last as the tables say."""
        with self._database() as dsn, self._starts() as starts:
            self._drive(dsn, command, str(total))
            with self._workers(dsn, WORKERS, starts):
                ended = self._await_end(dsn, starts, total)
            return total / (ended - min(began for began, _ in _read(starts)))

    def pickup(self, total: int) -> tuple[float, float]:
        """Milliseconds from just before a job is asked for to the start of its handler in an idle
        worker, one job every 100 ms: median and 99th percentile."""
        with self._database() as dsn, self._starts() as starts:
            with self._workers(dsn, 1, starts):
                time.sleep(WARM_UP)
                self._drive(dsn, "timed", str(total))
                self._await_end(dsn, starts, total)
            latencies = sorted(1000 * (began - asked) for began, asked in _read(starts))
            return statistics.median(latencies), latencies[math.ceil(0.99 * len(latencies)) - 1]

    @contextmanager
    def _database(self) -> Iterator[str]:
        """The URL of a fresh database with the engine's tables."""
        name = sql.Identifier(DATABASE)
        with engine.connect(self.server) as admin:
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(name))
            admin.execute(sql.SQL("create database {}").format(name))
            try:
                dsn = _url(make_conninfo(self.server, dbname=DATABASE))
                self._drive(dsn, "setup")
                yield dsn
            finally:
                admin.execute(sql.SQL("drop database if exists {} with (force)").format(name))

    @contextmanager
    def _starts(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="pgtasker-bench-") as directory:
            yield Path(directory) / "starts"

    def _command(self, dsn: str, *arguments: str) -> list[str]:
        driver = DRIVERS / f"drive_{self.peer.name}.py"
        return [str(self.python), str(driver), arguments[0], dsn, *arguments[1:]]

    def _environment(self, **more: str) -> dict[str, str]:
        packages = str(environments.directory(self.peer))
        return {**os.environ, "PYTHONPATH": str(ROOT), "PACKAGES": packages, **more}

    def _drive(self, dsn: str, *arguments: str) -> None:
        try:
            done = subprocess.run(
                self._command(dsn, *arguments),
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE,
                env=self._environment(),
            )
        except subprocess.TimeoutExpired:
            raise NotMeasuredError(f"{arguments[0]} takes more than {PATIENCE:.0f} s") from None
        if done.returncode:
            raise NotMeasuredError(f"{arguments[0]}: {_reason(done.stderr)}")

    @contextmanager
    def _workers(self, dsn: str, number: int, starts: Path) -> Iterator[None]:
        workers = [
            subprocess.Popen(
                self._command(dsn, "work"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self._environment(STARTS=str(starts)),
            )
            for _ in range(number)
        ]
        try:
            yield
            if any(worker.poll() is not None for worker in workers):
                raise NotMeasuredError("a worker ended by itself")
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                try:
                    worker.wait(5.0)
                except subprocess.TimeoutExpired:
                    worker.kill()
                    worker.wait()

    def _await_end(self, dsn: str, starts: Path, total: int) -> float:
        """When all had started and the engine's tables held nothing unfinished (monotonic)."""
        deadline = time.monotonic() + PATIENCE
        with engine.connect(dsn) as conn:
            while True:
                left = total - len(_read(starts))
                if left <= 0 and not engine.value(conn, self.peer.unfinished):
                    return time.monotonic()
                if time.monotonic() > deadline:
                    raise NotMeasuredError(f"{left} of {total} not begun after {PATIENCE:.0f} s")
                time.sleep(0.02)


def _read(starts: Path) -> list[tuple[float, float]]:
    """When handlers began, and when each was asked for."""
    data = starts.read_bytes() if starts.exists() else b""
    return list(struct.iter_unpack("dd", data[: len(data) // 16 * 16]))


def _url(dsn: str) -> str:
    """The same as a URL, which every engine understands."""
    parts = conninfo_to_dict(dsn)
    where = {name: str(parts[name]) for name in ("host", "port") if parts.get(name)}
    password = f":{urllib.parse.quote(str(parts['password']))}" if parts.get("password") else ""
    query = urllib.parse.urlencode(where)
    return f"postgresql://{parts.get('user', 'postgres')}{password}@/{parts['dbname']}?{query}"


def _reason(text: str) -> str:
    """What a driver failed with: the last line that is no continuation."""
    lines = [line for line in text.strip().splitlines() if line and not line.startswith(" ")]
    found = [line for line in lines if "Error" in line or "error" in line] or lines
    return (found or ["no reason given"])[-1]
