"""Runner processes that come and go, and somebody who starts tasks whatever happens.

Responsible for processes of `pgtasker run` and for the load; which faults meet them, and what they
must have survived, is left to the scenarios.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from . import work

PATIENCE = 60.0  # seconds; reached only where something is wrong
ROOT = Path(__file__).parents[2]


def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
    """Look until the condition holds; trouble with the database is looking in vain."""
    deadline = time.monotonic() + patience
    trouble: object = None
    while True:
        try:
            if condition():
                return
        except psycopg.Error as error:
            trouble = error
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what} ({trouble})"
        time.sleep(0.01)


class Runner:
    """One process of `pgtasker run`."""

    def __init__(self, name: str, dsn: str, log: Path, options: tuple[str, ...]) -> None:
        self.name = name
        self._log = log
        environment = {**os.environ, "PGTASKER_DSN": dsn, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "pgtasker", "run", work.PACKAGE, "--name", name]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, *options], cwd=ROOT, env=environment, stdout=output, stderr=output
            )

    @property
    def said(self) -> str:
        """What it has logged so far."""
        return self._log.read_text()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        self.process.send_signal(number)

    def says(self, line: str, times: int = 1) -> None:
        """Wait until it has logged that so often; it must live."""

        def has() -> bool:
            assert self.process.poll() is None, f"status {self.process.poll()}: {self.said}"
            return self.said.count(line) >= times

        until(has, f"{self.name} says {line}")


class Fleet:
    """The runners of one database; `gone` are the names of those that died or stood still."""

    def __init__(self, dsn: str, directory: Path, *options: str) -> None:
        self.dsn = dsn
        self.gone: set[str] = set()
        self.living: list[Runner] = []
        self._all: list[Runner] = []
        self._directory, self._options = directory, options
        self._numbers = itertools.count(1)

    def start(self, runners: int = 1, *options: str) -> list[Runner]:
        """Start so many more; they are known to the database when `ready` returns."""
        started = []
        for _ in range(runners):
            name = f"r{next(self._numbers)}"
            log = self._directory / f"{name}.log"
            started.append(Runner(name, self.dsn, log, (*self._options, *options)))
        self.living += started
        self._all += started
        return started

    def ready(self) -> None:
        """Wait until those that live have registered."""
        for runner in self.living:
            runner.says("runner registered")

    def kill(self, runner: Runner) -> float:
        """kill -9 for one of them; when."""
        self.gone.add(runner.name)
        self.living.remove(runner)
        at = time.time()
        runner.process.kill()
        runner.process.wait()
        return at

    def said(self) -> str:
        """What they all logged."""
        return "\n".join(f"{each.name}: {each.said}" for each in self._all)

    def close(self) -> None:
        """Kill those that still live."""
        for runner in self._all:
            runner.process.kill()
            runner.process.wait()


class Load:
    """Starts tasks one after the other, each under a key, until it is stopped.

    What the database did not answer is asked again with the same key: so each key has one task,
    and `started` are the tasks whose start was acknowledged. `pause` is in seconds between starts;
    `seconds` is how long a step takes; every `failing`-th task fails once on its way;
    `workflow` is the name of one of `work`.
    """

    def __init__(
        self,
        dsn: str,
        seed: int,
        *,
        pause: float = 0.02,
        seconds: float = 0.02,
        failing: int = 5,
        tasks: int | None = None,
        workflow: str = "diamond",
    ) -> None:
        self.started: list[int] = []
        self.refusals: list[str] = []
        self._dsn, self._seed, self._random = dsn, seed, random.Random(seed)
        self._pause, self._seconds, self._failing = pause, seconds, failing
        self._tasks, self._workflow = tasks, workflow
        self._stopping = threading.Event()
        self._conn: psycopg.Connection[Any] | None = None
        self._thread = threading.Thread(target=self._work, name="load", daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_for(self, tasks: int) -> None:
        """Wait until so many tasks were started."""
        until(lambda: len(self.started) >= tasks, f"{tasks} tasks are started")

    def stop(self) -> list[int]:
        """Start no more; the tasks that were started."""
        self._stopping.set()
        self._thread.join(PATIENCE)
        if self._conn is not None:
            self._conn.close()
        return self.started

    def _work(self) -> None:
        for number in itertools.count():
            if self._stopping.is_set() or number == self._tasks:
                return
            context = self._context(number)
            while (
                not self._start(f"{self._seed}.{number}", context) and not self._stopping.is_set()
            ):
                self._stopping.wait(0.05)
            self._stopping.wait(self._pause)

    def _context(self, number: int) -> dict[str, Any]:
        context: dict[str, Any] = {"seconds": self._random.uniform(0.5, 1.5) * self._seconds}
        context["account"] = number % work.ACCOUNTS
        if self._failing and number % self._failing == 0:
            context["failures"] = {self._random.choice(work.STEPS[self._workflow]): 1}
        return context

    def _start(self, key: str, context: dict[str, Any]) -> bool:
        try:
            if self._conn is None or self._conn.closed:
                self._conn = psycopg.connect(
                    self._dsn, autocommit=True, row_factory=tuple_row, prepare_threshold=None
                )
            row = self._conn.execute(
                "select pgtasker.create_task(name => %s, namespace => 'chaos',"
                " context => %s, idempotency_key => %s)",
                [self._workflow, Jsonb(context), key],
            ).fetchone()
        except psycopg.Error as error:
            self.refusals.append(f"{error.sqlstate}: {error}")
            if self._conn is not None:
                self._conn.close()
            return False
        assert row is not None
        self.started.append(row[0])
        return True
