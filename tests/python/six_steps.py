"""A task of six steps under `pgtasker run` processes, for tests that disturb it.

Each runner has one slot, each step says that it began and ends when the test opens its gate. So a
test knows what is being executed, and by whom, without waiting for a time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pgtasker import Client

PATIENCE = 40.0  # seconds; reached only by a test that fails
STEPS = ("first", "left", "right", "middle", "late", "last")
MODULE = """\
import time
from pathlib import Path

from pgtasker import Workflow

six = Workflow("six", namespace="tests")


def work(step, context):
    directory = Path(context["directory"])
    with (directory / "begun").open("a") as begun:
        begun.write(step.name + "\\n")
    while not (directory / step.name).exists():
        time.sleep(0.01)
    return step.name


def first(context, step): return work(step, context)
def left(first, context, step): return work(step, context)
def right(first, context, step): return work(step, context)
def middle(left, right, context, step): return work(step, context)
def late(middle, context, step): return work(step, context)
def last(late, context, step): return work(step, context)


for function in (first, left, right, middle, late, last):
    six.step(function)
"""


class SixSteps:
    """The runners of one database, and the gates of the steps that they execute."""

    def __init__(self, dsn: str, directory: Path) -> None:
        self.dsn = dsn
        self.directory = directory
        self.runners: list[subprocess.Popen[bytes]] = []
        (directory / "six_steps.py").write_text(MODULE)
        (directory / "begun").touch()

    def run(self, runners: int) -> None:
        """Start so many runners, and wait until the database knows them."""
        known = len(self.runners) + runners
        for _ in range(runners):
            self.runners.append(self._start(len(self.runners) + 1))
        with Client(self.dsn) as client:
            self.until(lambda: len(client.list_runners()) == known)

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pgtasker", "run", "six_steps"]
        environment = {
            **os.environ,
            "PGTASKER_DSN": self.dsn,
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        with (self.directory / f"runner{number}.log").open("wb") as log:
            return subprocess.Popen(
                [*command, "--concurrency", "1", "--name", f"runner{number}"],
                cwd=self.directory,
                env=environment,
                stderr=log,
            )

    def kill(self, number: int) -> None:
        """kill -9 for one of the runners."""
        self.runners[number - 1].kill()
        self.runners[number - 1].wait()

    def close(self) -> None:
        """Kill those that still live."""
        for number, _ in enumerate(self.runners, 1):
            self.kill(number)

    def start(self) -> int:
        """Start a task."""
        with Client(self.dsn) as client:
            return client.start("tests/six", self.context)

    @property
    def context(self) -> dict[str, str]:
        """What a task is to be started with."""
        return {"directory": str(self.directory)}

    @property
    def begun(self) -> list[str]:
        """The steps that began, in alphabetical order, each as often as it did."""
        return sorted((self.directory / "begun").read_text().split())

    def open(self, *steps: str) -> None:
        """Let these steps end, now or when they begin."""
        for step in steps:
            (self.directory / step).touch()

    def until(self, condition: Callable[[], Any]) -> None:
        """Look until the condition holds; if it never does, tell what the runners said."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.01)

    def until_complete(self, task_id: int) -> None:
        """Wait for the end of the task, which must be a good one."""
        with Client(self.dsn) as client:
            self.until(lambda: client.get_task(task_id).complete)
            assert client.get_task(task_id).state == "complete", self.said()

    def said(self) -> str:
        """What the runners logged."""
        return "\n".join(log.read_text() for log in sorted(self.directory.glob("runner*.log")))
