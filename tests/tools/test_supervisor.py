"""Several processes under one: started, started again, stopped, and never left alone."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from pgtasker import Client, installer
from pgtasker.cli.run import Options
from pgtasker.runner import Runner, loop
from pgtasker.service import supervisor
from pgtasker.service.supervised import line_to_supervisor, run_supervised
from pgtasker.service.supervisor import Supervisor

PATIENCE = 30.0  # seconds; reached only by a test that fails

# A process that says it is ready, notes what it hears, and ends as it is told to.
CHILD = """\
import json, os, pathlib, signal, socket, sys
name, behaviour = sys.argv[1:]
note = pathlib.Path(name)
def say(text):
    with note.open("a") as file:
        file.write(f"{text}\\n")
say(f"born in group of its own: {os.getpgrp() == os.getpid()}")
if behaviour.startswith("mistake"):
    sys.exit(int(behaviour[-1]))
line = socket.socket(fileno=int(os.environ["PGTASKER_SUPERVISOR"]))
line.sendall(json.dumps({"live": True, "ready": True, "runner": name}).encode() + b"\\n")
if behaviour == "done":
    sys.exit(0)
lives = note.read_text().count("born")
if behaviour == "mortal" and lives < 3:
    os.kill(os.getpid(), signal.SIGKILL)
if behaviour == "failing" and lives < 3:
    sys.exit(1)
for word in line.makefile("r"):
    say(word.strip())
    if behaviour != "deaf" and (behaviour != "slow" or word.strip() == "hurry"):
        sys.exit(0)
say("alone")
if behaviour == "deaf":
    signal.pause()
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The length of pauses is no matter of these tests."""
    monkeypatch.setattr(supervisor, "SHORTEST_PAUSE", 0.01)


@dataclass
class Crew:
    """A supervisor of small processes in a directory of their own."""

    directory: Path

    def supervisor(self, *behaviours: str, until_empty: bool = False) -> Supervisor:
        """One process for each behaviour, which is its name too."""

        def command(name: str) -> list[str]:
            behaviour = Path(name).name.partition("-")[0]
            return [sys.executable, "-c", CHILD, name, behaviour]

        names = [str(self.directory / f"{each}-{n}") for n, each in enumerate(behaviours)]
        return Supervisor(command, names, grace=0, until_empty=until_empty)

    def run(self, crew: Supervisor, *stops: Callable[[], bool]) -> int:
        """Run it, and stop it each time that a condition holds; the exit status."""

        async def main() -> int:
            running = asyncio.create_task(crew.run())
            for condition in stops:
                deadline = time.monotonic() + PATIENCE
                while not condition() and not running.done():
                    assert time.monotonic() < deadline, self.heard()
                    await asyncio.sleep(0.005)
                crew.stop()
            return await asyncio.wait_for(running, PATIENCE)

        return asyncio.run(main())

    def heard(self) -> dict[str, list[str]]:
        """What each process has noted, without its births."""
        return {
            file.name: [line for line in file.read_text().splitlines() if line[:4] != "born"]
            for file in self.directory.iterdir()
        }

    def births(self, name: str) -> int:
        """How often a process was started."""
        file = self.directory / name
        return file.read_text().count("born") if file.exists() else 0


@pytest.fixture
def crew(tmp_path: Path) -> Crew:
    return Crew(tmp_path)


def test_all_are_stopped_and_told_once(crew: Crew) -> None:
    """The end is good if each has ended as it was told."""
    supervised = crew.supervisor("good", "good", "good")
    assert crew.run(supervised, lambda: supervised.vitals().ready) == 0
    assert crew.heard() == {"good-0": ["stop"], "good-1": ["stop"], "good-2": ["stop"]}


def test_a_terminal_interrupts_the_supervisor_alone(crew: Crew) -> None:
    """Each process is in a group of its own: what it hears, it hears once."""
    supervised = crew.supervisor("good")
    crew.run(supervised, lambda: supervised.vitals().ready)
    assert "group of its own: True" in (crew.directory / "good-0").read_text()


@pytest.mark.parametrize("behaviour", ["mortal", "failing"])
def test_what_dies_is_started_again(crew: Crew, behaviour: str) -> None:
    """By a signal or by itself; the others go on, and the end is good."""
    supervised = crew.supervisor("good", behaviour)
    name = f"{behaviour}-1"
    status = crew.run(supervised, lambda: crew.births(name) == 3 and supervised.vitals().ready)
    assert (status, crew.births("good-0")) == (0, 1)
    assert crew.heard()[name] == ["stop"]


def test_what_cannot_be_started_now_is_started_later(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where files or processes have run out there may be some again."""
    failures = iter([OSError(errno.EMFILE, "Too many open files")])

    def socketpair() -> tuple[socket.socket, socket.socket]:
        for error in failures:
            raise error
        return socket.socketpair()

    monkeypatch.setattr(supervisor, "socket", SimpleNamespace(socketpair=socketpair))
    assert crew.run(crew.supervisor("done", "done", until_empty=True)) == 0
    assert (crew.births("done-0"), crew.births("done-1")) == (1, 1)


def test_a_mistake_ends_the_whole(crew: Crew) -> None:
    """A person has to put it right; the others are not started, so that it is said once."""
    assert crew.run(crew.supervisor("mistake2", "good")) == 2
    assert (crew.births("mistake2-0"), crew.births("good-1")) == (1, 0)


def test_a_mistake_of_another_stops_the_first(crew: Crew) -> None:
    """None is left behind."""
    assert crew.run(crew.supervisor("good", "mistake1")) == 1
    assert crew.heard()["good-0"] == ["stop"]


def test_a_second_stop_hurries(crew: Crew) -> None:
    """What takes its time gives back what it has."""
    supervised = crew.supervisor("slow", "good")
    status = crew.run(
        supervised,
        lambda: supervised.vitals().ready,
        lambda: crew.heard()["slow-0"] == ["stop"],
    )
    assert (status, crew.heard()["slow-0"]) == (0, ["stop", "hurry"])


def test_who_does_not_end_is_killed(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some time after its grace period; that is no good end."""
    monkeypatch.setattr(supervisor, "FAREWELL", 0.1)
    supervised = crew.supervisor("deaf")
    assert crew.run(supervised, lambda: supervised.vitals().ready) == 1


def test_who_has_done_its_work_is_not_started_again(crew: Crew) -> None:
    """One pass, for cron, may be made by several processes."""
    assert crew.run(crew.supervisor("done", "done", until_empty=True)) == 0
    assert [crew.births(f"done-{number}") for number in (0, 1)] == [1, 1]


def test_one_answers_for_all(crew: Crew) -> None:
    """Live if each is, also one that begins; ready if all are; each with what it said last."""
    supervised = crew.supervisor("good", "mortal")
    assert (supervised.vitals().live, supervised.vitals().ready) == (True, False)
    crew.run(supervised, lambda: crew.births("mortal-1") == 3 and supervised.vitals().ready)
    vitals = supervised.vitals()
    assert (vitals.ready, vitals.stopping) == (False, True)
    [good, mortal] = vitals.runners
    assert (good["restarts"], mortal["restarts"]) == (0, 2)
    assert good["runner"].endswith("good-0")


class FakeRunner:
    """A runner that does what a test says."""

    def __init__(self) -> None:
        self.stops = 0

    def stop(self) -> None:
        self.stops += 1

    def health(self) -> supervisor.Crew:
        return supervisor.Crew(live=True, ready=self.stops == 0, stopping=False, runners=[])

    async def told(self, stops: int) -> None:
        while self.stops < stops:
            await asyncio.sleep(0.005)


def converse(talk: Callable[[FakeRunner, socket.socket], object]) -> int:
    """A runner under supervision; how often it was stopped."""
    ours, theirs = socket.socketpair()

    class Talking(FakeRunner):
        async def run(self) -> None:
            await asyncio.wait_for(cast("asyncio.Future[None]", talk(self, ours)), PATIENCE)

    runner = Talking()
    os.environ[supervisor.ENVIRONMENT] = str(theirs.detach())
    line = line_to_supervisor()
    assert line is not None
    assert line_to_supervisor() is None
    with line, ours:
        run_supervised(cast(Runner, runner), line, grace=0)
    return runner.stops


def test_signals_and_words_stop_a_runner_once_and_only_a_word_hurries() -> None:
    """systemd signals every process: what the supervisor passes on is no second wish."""

    async def talk(runner: FakeRunner, supervisor: socket.socket) -> None:
        assert b'"live": true' in supervisor.recv(1000)
        supervisor.sendall(b"stop\n")
        await runner.told(1)
        seen = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, seen.set)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            os.kill(os.getpid(), number)
        await seen.wait()
        assert runner.stops == 1
        supervisor.sendall(b"hurry\n")
        await runner.told(2)

    assert converse(talk) == 2


def test_a_runner_stops_when_its_supervisor_is_gone() -> None:
    """However that came to be: the line ends."""

    async def talk(runner: FakeRunner, supervisor: socket.socket) -> None:
        supervisor.shutdown(socket.SHUT_RDWR)
        await runner.told(1)

    assert converse(talk) == 1


def test_a_runner_ends_although_a_handler_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does without a supervisor, which would have to kill it."""
    monkeypatch.setattr(loop, "PATIENCE", 0.01)
    kept = []

    async def talk(runner: FakeRunner, supervisor: socket.socket) -> None:
        async def stubborn() -> None:
            for _ in range(3):  # cancelled twice, it still goes on
                with suppress(asyncio.CancelledError):
                    await may_end.wait()

        may_end = asyncio.Event()
        kept.append(asyncio.create_task(stubborn()))
        await asyncio.sleep(0)

    assert converse(talk) == 0
    assert not kept.pop().done()


OPTIONS: dict[str, Any] = {
    "modules": ("-odd", "flows.py"),
    "queues": ("a b", "c"),
    "concurrency": 7,
    "name": "name",
    "grace": 1.5,
    "transactions": 3,
    "replace": True,
    "coordination": "poll",
    "poll_interval": 0.5,
    "processes": 2,
    "log_format": "json",
    "log_level": "debug",
    "health_port": 80,
    "health_host": None,
    "health_file": None,
}


def test_no_dsn_is_on_the_command_line_of_a_process() -> None:
    """Anybody may read command lines; modules and options are passed on as they were given."""
    options = Options(**OPTIONS)
    assert options.names() == ["name-1", "name-2"]
    given = options.arguments("name-1")
    assert {"--name=name-1", "--transactions=3"} <= set(given)
    assert given[-4:] == ["--replace", "--", "-odd", "flows.py"]
    assert not [each for each in given if "dsn" in each or "health" in each or "processes" in each]


@pytest.mark.parametrize(
    ("processors", "asked", "workers"),
    [(8, {"processes": 4}, 2), (2, {"processes": 3}, 1), (8, {"processes": 4, "workers": 5}, 5)],
)
def test_the_processes_share_the_processors(
    processors: int, asked: dict[str, int], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What computes in worker processes is not started once more by each runner."""
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    options = Options(**{**OPTIONS, **asked})
    assert f"--workers={workers}" in options.arguments("name-1")


@pytest.mark.newest_only
def test_no_runner_survives_a_supervisor_that_was_killed(empty_dsn: str, tmp_path: Path) -> None:
    """Even `kill -9` leaves nobody behind, and what they held goes back."""
    with psycopg.connect(empty_dsn) as conn:
        installer.install(conn, "pgtasker")
    (tmp_path / "orphans.py").write_text(
        "from pgtasker import Workflow\nflow = Workflow('flow')\n@flow.step\ndef a(): ...\n"
    )
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pgtasker", "run", "orphans", "--processes", "2"],
            cwd=tmp_path,
            env={**os.environ, "PGTASKER_DSN": empty_dsn},
            stdout=output,
            stderr=output,
        )

    def states(client: Client) -> list[str]:
        return [runner.state for runner in client.list_runners()]

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)

    try:
        with Client(empty_dsn) as client:
            until(lambda: states(client) == ["live", "live"])
            until(lambda: log.read_text().count("runner registered") == 2)  # they know it too
            process.kill()
            until(lambda: states(client) == ["deregistered", "deregistered"])
            pids = [runner.metadata["pid"] for runner in client.list_runners()]
    finally:
        process.kill()
        process.wait()
    for pid in pids:
        until(lambda pid=pid: not _lives(pid))  # type: ignore[misc]


def _lives(pid: int) -> bool:
    """Whether there is such a process, unless it only waits for somebody to ask how it ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path("/proc") / str(pid) / "stat"
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
