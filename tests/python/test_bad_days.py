"""Bad days of a runner, as an operator meets them: `pgtasker run` ends well, in one clear line.

Each test is one bad day, through the command line. Two have tests elsewhere, with servers of their
own: a database that is restarted mid-run (`test_server_restart`), and a runner that is killed
(`test_runner_process`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgtasker import Client

from ..support.databases import Database, Databases

pytestmark = pytest.mark.newest_only  # what is tested is the runner

PATIENCE = 30.0  # seconds; reached only by a test that fails
SECRET = "open-sesame-42"

MODULE = """\
import asyncio
import os
import time
from pathlib import Path

from pgtasker import Workflow

flow = Workflow("bad_day")
awaiting = Workflow("awaiting")
large = Workflow("large")
deadly = Workflow("deadly")
doomed = Workflow("doomed")


@flow.step
def work(context):
    Path(context["begun"]).touch()
    while True:
        time.sleep(0.01)


@awaiting.step
async def work_in_thread(context):
    await asyncio.to_thread(work, context)


@large.step
def answer():
    return "x" * 2_000_000


@deadly.step(retry_limit=2, backoff={"base": 0})
def leave():
    os._exit(3)


@doomed.step(executor="process", retry_limit=2, backoff={"base": 0})
def leave_process():
    os._exit(3)


@doomed.step(executor="process")
def survive():
    return "alive"
"""


class Command:
    """`pgtasker run` as a process, and what it says."""

    def __init__(self, directory: Path, dsn: str, *arguments: str, module: str = "bad_day") -> None:
        self._log = directory / f"log{len(list(directory.glob('log*')))}"
        command = [sys.executable, "-m", "pgtasker", "run", module, *arguments]
        environment = {
            **os.environ,
            "PGTASKER_DSN": dsn,
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=directory, env=environment, stdout=log, stderr=log
            )

    @property
    def said(self) -> str:
        """All that it has printed so far."""
        return self._log.read_text()

    @property
    def lines(self) -> list[str]:
        """The lines that it has printed so far."""
        return self.said.splitlines()

    def ends_with(self, status: int) -> list[str]:
        """Wait for its end, which must have this status; its lines."""
        assert self.process.wait(PATIENCE) == status, self.said
        assert "Traceback" not in self.said
        return self.lines

    def until(self, condition: Callable[[], Any]) -> None:
        """Look until the condition holds; if it never does, tell what was said."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.said
            time.sleep(0.01)


class Place:
    """A directory with a module of workflows, and the processes started in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._commands: list[Command] = []
        (directory / "bad_day.py").write_text(MODULE)

    def run(self, dsn: str, *arguments: str, module: str = "bad_day") -> Command:
        """Start a runner."""
        command = Command(self.directory, dsn, *arguments, module=module)
        self._commands.append(command)
        return command

    def close(self) -> None:
        """Kill those that still live."""
        for command in self._commands:
            command.process.kill()
            command.process.wait()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place for runners; those that still live are killed at the end."""
    place = Place(tmp_path)
    yield place
    place.close()


@pytest.fixture
def live(database: Database) -> Database:
    """The worker's database in real time, in the schema that the command line takes by itself."""
    database.set_clock(None)
    return database


@pytest.fixture
def locked_dsn(server: Databases, database: Database) -> Iterator[str]:
    """A DSN with a wrong password, of a role that has to give the right one."""
    if "data" not in server.facts:
        pytest.skip("the access rules of this server cannot be changed from here")
    rules = Path(server.facts["data"]) / "pg_hba.conf"
    before = rules.read_text()
    role = f"locked_{os.getpid()}"
    with psycopg.connect(database.dsn, autocommit=True) as conn:
        conn.execute(f"create role {role} login password 'right'")
        rules.write_text(f"local all {role} scram-sha-256\n{before}")
        conn.execute("select pg_reload_conf()")
        deadline = time.monotonic() + PATIENCE
        while conn.execute("select user_name[1] from pg_hba_file_rules").fetchone() != (role,):
            assert time.monotonic() < deadline
        yield make_conninfo(database.dsn, user=role, password=SECRET)
        rules.write_text(before)
        conn.execute("select pg_reload_conf()")
        conn.execute(f"drop role {role}")


def test_no_server(place: Place, tmp_path: Path):
    """The runner says so and tries again, for ever; asked to stop, it stops."""
    runner = place.run(f"host={tmp_path} user=nobody password={SECRET}")
    runner.until(lambda: runner.said.count("no connection") >= 2)
    assert "No such file or directory" in runner.said
    assert "retry_in" in runner.said
    runner.process.send_signal(signal.SIGTERM)
    runner.ends_with(0)
    assert SECRET not in runner.said


def test_wrong_password(place: Place, locked_dsn: str):
    """Nobody but a person can put that right: the runner ends at once."""
    runner = place.run(locked_dsn)
    *_, line = runner.ends_with(1)
    assert "password authentication failed" in line
    assert SECRET not in runner.said


def test_schema_missing(place: Place, empty_dsn: str):
    """The runner ends at once and names what to do."""
    runner = place.run(empty_dsn)
    *_, line = runner.ends_with(1)
    assert 'schema "pgtasker" does not exist: install pgtasker there' in line


def test_schema_newer_than_the_package(place: Place, own_database: Database):
    """A runner does not work on a schema that it cannot know."""
    own_database.main.run("update settings set value = '99.0.0' where name = 'schema_version'")
    runner = place.run(own_database.dsn)
    *_, line = runner.ends_with(1)
    assert "99.0.0" in line
    assert "upgrade" in line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nowhere_to_be_found\n", "No module named 'nowhere_to_be_found'"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("def broken(:\n", "SyntaxError"),
    ],
)
def test_a_module_that_does_not_import(place: Place, text: str, reason: str):
    """One line names the module and the reason, before anything else is tried."""
    (place.directory / "broken.py").write_text(text)
    runner = place.run("host=/nowhere", module="broken")
    (line,) = runner.ends_with(1)
    assert "'broken' cannot be imported" in line
    assert reason in line
    assert "broken.py" in line


@pytest.mark.parametrize("workflow", ["bad_day", "awaiting"])
@pytest.mark.parametrize("options", [[], ["--processes", "1"]], ids=["alone", "supervised"])
def test_a_handler_that_hangs(place: Place, live: Database, workflow: str, options: list[str]):
    """After the grace period its step is released, without using up an attempt; the end is good."""
    runner = place.run(live.dsn, "--grace", "0.1", *options)
    begun = place.directory / "begun"
    with Client(live.dsn) as client:
        runner.until(lambda: client.list_runners())
        task_id = client.start(workflow, {"begun": str(begun)})
        runner.until(begun.exists)
        runner.process.send_signal(signal.SIGTERM)
        runner.ends_with(0)
        (step,) = client.get_task_steps(task_id)
        assert (step.state, step.attempts) == ("pending", 0)
        client.cancel_task(task_id)


def test_ctrl_c_twice(place: Place, live: Database):
    """The second one releases at once, whatever the grace period."""
    runner = place.run(live.dsn, "--grace", "3600")
    begun = place.directory / "begun"
    with Client(live.dsn) as client:
        runner.until(lambda: client.list_runners())
        task_id = client.start("bad_day", {"begun": str(begun)})
        runner.until(begun.exists)
        runner.process.send_signal(signal.SIGINT)
        runner.until(lambda: "runner stopping" in runner.said)
        runner.process.send_signal(signal.SIGINT)
        runner.ends_with(0)
        (step,) = client.get_task_steps(task_id)
        assert (step.state, step.attempts) == ("pending", 0)
        client.cancel_task(task_id)


def test_a_handler_that_ends_its_process(place: Place, live: Database):
    """In a process of its own that is a failed attempt, and the runner lives on."""
    runner = place.run(live.dsn)
    with Client(live.dsn) as client:
        runner.until(lambda: client.list_runners())
        task = client.wait(client.start("doomed"), timeout=PATIENCE)
        steps = {
            step.name: (step.state, step.attempts) for step in client.get_task_steps(task.task_id)
        }
        assert steps == {"leave_process": ("error", 2), "survive": ("complete", 1)}
        assert "3" in task.error["leave_process"]["message"]
        assert len(client.list_runners()) == 1
    assert runner.process.poll() is None


def test_a_handler_that_ends_its_runner(place: Place, live: Database):
    """A supervised runner comes back each time, until the step has used up its attempts."""
    supervisor = place.run(live.dsn, "--processes", "1")
    with Client(live.dsn) as client:
        supervisor.until(lambda: client.list_runners())
        task = client.wait(client.start("deadly"), timeout=PATIENCE)
        (step,) = client.get_task_steps(task.task_id)
        assert (task.state, step.state, step.attempts) == ("error", "error", 2)
        supervisor.until(lambda: [r for r in client.list_runners() if r.state == "live"])
    assert supervisor.process.poll() is None
    supervisor.process.send_signal(signal.SIGTERM)
    supervisor.ends_with(0)


def test_a_result_of_two_megabytes(place: Place, live: Database):
    """The step fails for good and says how large a result may be; the runner lives on."""
    runner = place.run(live.dsn, "--log-format", "json")
    with Client(live.dsn) as client:
        runner.until(lambda: client.list_runners())
        task = client.wait(client.start("large"), timeout=PATIENCE)
        assert task.state == "error"
        assert "2000002 bytes" in json.dumps(task.error)
    assert runner.process.poll() is None
