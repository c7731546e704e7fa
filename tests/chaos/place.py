"""Where scenarios happen: servers, directories, and how each of them is judged.

Responsible for what scenarios share: a database with runners, the wait until all is settled, the
check of every promise, and the figures. Which faults there are is left to the scenarios.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from ..support.invariants import assert_kept
from .fleet import Fleet, until
from .servers import Server


class CannotHappenError(Exception):
    """This machine cannot do that: the scenario is skipped, with this reason."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a scenario found, in words, and whether that is within its target."""

    text: str
    met: bool = True


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault: `run` injects it `short` or `long` many times, and asserts that all is well."""

    name: str
    injection: str
    target: str
    run: Callable[[Place, int], Measured]
    short: int
    long: int

    @property
    def key(self) -> str:
        """Its name without spaces, for ids of tests and names of directories."""
        return self.name.replace(" ", "-")


@dataclass
class Place:
    """A directory, a server in it, and a seed from which all chance comes."""

    bindir: Path
    directory: Path
    seed: int
    shared: Server
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def path(self, name: str) -> Path:
        """A path of its own in this place."""
        return self.directory / f"{name}{next(self._numbers)}"

    @contextmanager
    def server(self, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
        """A server of the scenario's own."""
        server = Server(self.bindir, self.path("server"), settings)
        try:
            yield server
        finally:
            server.remove()

    @contextmanager
    def fleet(self, dsn: str, *options: str) -> Iterator[Fleet]:
        """Runners that end with the scenario; what they said is told with what went wrong."""
        logs = self.path("logs")
        logs.mkdir()
        fleet = Fleet(dsn, logs, *options)
        try:
            yield fleet
        except BaseException as error:
            error.add_note(fleet.said()[-20_000:])
            raise
        finally:
            fleet.close()


class Witness:
    """A session that looks on, on a connection that no fault is meant for."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._conn: psycopg.Connection[Any] | None = None

    @property
    def conn(self) -> psycopg.Connection[Any]:
        """Its connection; a new one after the server was away."""
        if self._conn is None or self._conn.closed:
            self._conn = psycopg.connect(
                self._dsn,
                autocommit=True,
                row_factory=namedtuple_row,
                application_name="witness",
                options="-c search_path=pgtasker",
            )
        return self._conn

    def rows(self, query: str, *values: Any) -> list[Any]:
        """The rows of a query; asked again where the server was restarted since the last one."""
        try:
            return self.conn.execute(query.encode(), values or None).fetchall()
        except psycopg.OperationalError:
            if self._conn is not None and not self._conn.closed:
                raise
            return self.conn.execute(query.encode(), values or None).fetchall()

    def one(self, query: str, *values: Any) -> Any:
        """The only value of a query."""
        [[value]] = self.rows(query, *values)
        return value

    def completed(self) -> int:
        """How many steps are complete."""
        return int(
            self.one("select count(*) from workflow_step_transitions where to_state = 'complete'")
        )

    def wait_for(self, steps: int) -> None:
        """Wait until so many steps are complete."""
        until(lambda: self.completed() >= steps, f"{steps} steps are complete")

    def wait_until_given_up(self, runner: str) -> None:
        """Wait until no runner of this name is live."""
        live = "select exists (select from list_runners() where name = %s and state = 'live')"
        until(lambda: not self.one(live, runner), f"{runner} is given up")

    def wait_until_it_holds(self, runner: str) -> None:
        """Wait until the runner of this name executes something."""
        held = "select coalesce(sum(held_steps), 0) from list_runners() where name = %s"
        until(lambda: self.one(held, runner) > 0, f"{runner} holds a step")

    def is_settled(self) -> bool:
        """Whether no task is unfinished."""
        return not self.one(
            "select exists (select from task_list where state in ('pending', 'in_progress'))"
        )

    def wait_until_settled(self) -> None:
        """Wait until no task is unfinished, as long as steps still end."""
        done = -1
        while not self.is_settled() and self.completed() > done:
            done = self.completed()
            with suppress(AssertionError):
                until(self.is_settled, "every task is at rest", 20)
        assert self.is_settled(), "tasks are left, and no step ends"

    def settle(
        self, started: Sequence[int], *, failures: Sequence[str] = ("Expected",), **asked: Any
    ) -> None:
        """Wait for the end of all work, which must be a good one, and check every promise."""
        self.wait_until_settled()
        assert_kept(self.conn, settled=True, started=started, failures=failures, **asked)
        bad = self.rows("select task_id, state from task_list where state <> 'complete'")
        assert bad == []

    def stale_writes(self) -> int:
        """Rows that a runner wrote after it was given up: there must be none."""
        return int(
            self.one(
                """
                select count(*)
                from workflow_step_transitions log
                join list_runners() runner on runner.runner_id = log.runner_id
                where runner.ended_at < log.created_at
                    and (
                        log.to_state in ('in_progress', 'complete', 'error')
                        or not log.attempt_counts
                    )
                """
            )
        )

    def takeovers(self) -> list[tuple[str, float]]:
        """Attempts that were lost with their runners: which, and when the step ran elsewhere."""
        return [
            (row.name, row.at)
            for row in self.rows(
                """
                select runner.name, extract(epoch from again.created_at)::float8 as at
                from workflow_step_transitions lost
                join list_runners() runner on runner.runner_id = lost.runner_id
                join workflow_step_transitions again
                    on again.workflow_step_id = lost.workflow_step_id
                    and again.sort_key = lost.sort_key + 1
                where lost.from_state = 'in_progress' and lost.to_state = 'pending'
                    and lost.attempt_counts and lost.actor is null
                """
            )
        ]

    def close(self) -> None:
        """Close it."""
        if self._conn is not None:
            self._conn.close()


@contextmanager
def witness(dsn: str) -> Iterator[Witness]:
    """A witness for a while."""
    looking = Witness(dsn)
    try:
        yield looking
    finally:
        looking.close()


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all values does not exceed; nan of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
