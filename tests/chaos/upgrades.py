"""Upgrades under load, while an application holds transactions open on the tables.

The runners are of this version, the schema goes through later ones and back: so they are the
runners of a previous version all the time.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from pgtasker import upgrader

from ..support import versions
from .fleet import PATIENCE, Load, until
from .place import Measured, Place, percentile, witness

BOUND = 1.0  # seconds that no caller may wait longer than
START = (
    "select create_task(name => 'diamond', namespace => 'chaos', context => '{\"seconds\": 0.01}')"
)
CALLS = (
    START,
    "select state from get_task(task_id => 1)",
    "select count(*) from (select from task_list limit 10) listed",
    "select count(*) from active_step_readiness_statuses",
    "select count(*) from list_queues()",
)


@dataclass
class Callers:
    """Sessions that call whatever there is, and note how long each call takes."""

    dsn: str
    seed: int
    seconds: list[float] = field(default_factory=list)
    started: list[int] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def call(self) -> None:
        """One call after the other."""
        chance = random.Random(self.seed)
        with self._session("caller") as conn:
            while not self.stopping.is_set():
                self._ask(conn, chance.choice(CALLS))
                self.stopping.wait(0.005)

    def hold(self) -> None:
        """Transactions that stay open after they wrote or read, for up to two seconds."""
        chance = random.Random(self.seed + 1)
        with self._session("application") as conn:
            while not self.stopping.is_set():
                with conn.transaction():
                    for _ in range(chance.randint(1, 3)):
                        self._ask(conn, chance.choice(CALLS))
                        self.stopping.wait(chance.uniform(0, 0.7))
                self.stopping.wait(chance.uniform(0, 1.5))

    def _ask(self, conn: psycopg.Connection[Any], query: str) -> None:
        at = time.monotonic()
        row = conn.execute(query.encode()).fetchone()
        self.seconds.append(time.monotonic() - at)
        if query == START and row is not None:
            self.started.append(row[0])

    @contextmanager
    def _session(self, name: str) -> Iterator[psycopg.Connection[Any]]:
        path = "-c search_path=pgtasker"
        try:
            with psycopg.connect(
                self.dsn,
                autocommit=True,
                row_factory=tuple_row,
                options=path,
                application_name=name,
            ) as conn:
                yield conn
        except psycopg.Error as error:
            self.troubles.append(f"{name}: {error.sqlstate}: {error}")

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Both of them, for a while."""
        threads = [threading.Thread(target=each, daemon=True) for each in (self.call, self.hold)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            for thread in threads:
                thread.join(PATIENCE)


def upgraded(place: Place, times: int) -> Measured:
    """Upgrade to one later version after the other, and before every other one go back."""
    server = place.shared
    dsn = server.dsn(server.database(lease="6 s"))  # runners look at the version every 2 s
    directory = place.path("packages")
    took: list[float] = []
    waited: list[str] = []
    with place.fleet(dsn, "--concurrency", "8") as fleet, witness(dsn) as seen:
        fleet.start(2)
        fleet.ready()
        callers = Callers(dsn, place.seed)
        with (
            Load(dsn, place.seed, pause=0.03, seconds=0.02) as load,
            psycopg.connect(dsn, autocommit=True) as conn,
        ):
            load.wait_for(1)  # there is a task to look at

            def bring(number: int, *, back: bool = False) -> None:
                files = versions.write(directory / str(len(took)), number)
                at = time.monotonic()
                with versions.package(files, versions.version_of(number)):
                    upgrader.upgrade(conn, "pgtasker", back=back, told=waited.append)
                took.append(time.monotonic() - at)
                load.wait_for(len(load.started) + 20)

            with callers.at_work():
                for number in range(1, times + 1):
                    if number % 2 == 0:
                        bring(0, back=True)
                    bring(number)
            started = load.stop()
        assert not callers.troubles, callers.troubles
        seen.settle([*started, *callers.started])
        until(lambda: "schema is newer than this package" in fleet.said(), "runners tell it")
        longest = max(callers.seconds)
        return Measured(
            f"{len(took)} upgrades and returns beside {len(callers.seconds):,} calls: longest wait "
            f"of a caller {longest:.2f} s, p99 {percentile(callers.seconds, 0.99):.3f} s; an "
            f"upgrade takes {percentile(took, 0.5):.1f} s (p50), {max(took):.1f} s (most), and "
            f"gave way {len(waited)} times; runners of the version before work on; nothing lost",
            longest <= BOUND,
        )
