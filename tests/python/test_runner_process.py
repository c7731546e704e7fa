"""The runner as a process: what signals do to it, and what becomes of its steps if it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..support.databases import Database
from ..support.session import Session

PATIENCE = 20.0  # seconds; reached only by a test that fails

RUNNER = """
import sys, time
from pathlib import Path
from pgtasker import Runner, Workflow

flow = Workflow("flow")

@flow.step
def work(context):
    while not Path(context["gate"]).exists():
        time.sleep(0.01)

if __name__ == "__main__":
    Runner(sys.argv[1], [flow], schema=sys.argv[2], grace=3600).run_forever()
"""


class Processes:
    """Runner processes of one workflow, whose only step waits until the gate is opened."""

    def __init__(self, database: Database, directory: Path) -> None:
        database.set_clock(None)
        self.database = database
        self.gate = directory / "gate"
        self._script = directory / "runner_process.py"
        self._script.write_text(RUNNER)
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        """One more runner."""
        command = [sys.executable, self._script, self.database.dsn, self.database.schema]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        self.started.append(process)
        return process

    def task(self) -> int:
        """A task that a runner is executing."""
        db = self.database.main
        until(lambda: db.call("list_runners"))
        task_id = db.start(context={"gate": str(self.gate)})
        until(lambda: db.step(task_id, "work").state == "in_progress")
        return task_id


def until(condition: Callable[[], Any]) -> None:
    """Look until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def processes(database: Database, tmp_path: Path) -> Iterator[Processes]:
    """Runner processes; those that still live are killed at the end."""
    processes = Processes(database, tmp_path)
    yield processes
    for process in processes.started:
        process.kill()
        process.wait()


def test_a_killed_runners_step_runs_elsewhere(processes: Processes, db: Session):
    """kill -9 in the middle of a step: a second runner finishes the task within five seconds."""
    first = processes.start()
    task_id = processes.task()
    processes.start()
    until(lambda: len(db.call("list_runners")) == 2)
    processes.gate.touch()
    first.kill()
    killed = time.monotonic()
    until(lambda: db.state_of(task_id) == "complete")
    assert time.monotonic() - killed < 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_step_finish(processes: Processes, db: Session, number: int):
    """The runner stops claiming, waits for what runs, reports it, and exits with 0."""
    process = processes.start()
    task_id = processes.task()
    process.send_signal(number)
    processes.gate.touch()
    assert process.wait(PATIENCE) == 0
    assert db.state_of(task_id) == "complete"
    assert [runner.state for runner in db.call("list_runners")] == ["deregistered"]


def test_a_second_signal_releases_at_once(processes: Processes, db: Session):
    """Even if a thread hangs, the runner exits with 0, and the attempt does not count."""
    process = processes.start()
    task_id = processes.task()
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)  # another one: two of a kind could arrive as one
    assert process.wait(PATIENCE) == 0
    step = db.step(task_id, "work")
    assert (step.state, step.attempts) == ("pending", 0)


SCRIPT = """
import sys
from pgtasker import Runner, UntilEmpty, Workflow

flow = Workflow("flow")

@flow.step(executor="process")
def work():
    return "done"

runner = Runner(sys.argv[1], [flow], schema=sys.argv[2], coordination=UntilEmpty())
{guard}runner.run_forever()
"""


@pytest.mark.newest_only
@pytest.mark.parametrize("guard", ["", 'if __name__ == "__main__": '])
def test_a_script_that_starts_a_runner_without_a_guard_fails_its_steps_clearly(
    database: Database, db: Session, tmp_path: Path, guard: str
):
    """A worker process loads the script to find the function: that must not start a runner."""
    database.set_clock(None)
    db.define("work")
    task_id = db.start()
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(guard=guard))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        [sys.executable, script, database.dsn, database.schema],
        stdout=subprocess.DEVNULL,
        env=environment,
        timeout=PATIENCE,
    )
    assert ended.returncode == 0
    [task] = db.call("get_task", task_id=task_id)
    if guard:
        assert task.results == {"work": "done"}
    else:
        assert 'start it under if __name__ == "__main__"' in task.error["work"]["message"]
    assert db.step(task_id, "work").attempts == 1
    assert len(db.call("list_runners")) == 1
