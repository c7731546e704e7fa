"""What Kubernetes, systemd and scripts are told of a process."""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.error import HTTPError

import pytest

from pgtasker.errors import ConfigurationError
from pgtasker.service import probes
from pgtasker.service.probes import Probes, Systemd

PATIENCE = 20.0  # seconds; reached only by a test that fails


@dataclass(frozen=True)
class Vitals:
    """How the process says it is."""

    live: bool = True
    ready: bool = False
    stopping: bool = False
    running: int = 3


class Process:
    """What is asked; a test changes how it is."""

    def __init__(self) -> None:
        self.vitals = Vitals()
        self.asked = 0

    def __call__(self) -> Vitals:
        self.asked += 1
        return self.vitals

    def is_asked(self, times: int) -> None:
        """Wait until it was asked so many times more."""
        wanted = self.asked + times
        until(lambda: self.asked >= wanted)


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rhythm is no matter of these tests."""
    monkeypatch.setattr(probes, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(probes, "TOUCH_EVERY", 0.01)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def ask(watched: Probes, path: str, method: str = "GET") -> tuple[int, object]:
    """Status and body of an answer."""
    assert watched.address is not None
    url = f"http://localhost:{watched.address[1]}{path}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
            status, content = answer.status, answer.read()
    except HTTPError as error:
        status, content = error.code, error.read()
    return status, json.loads(content) if content else None


def test_http_says_live_and_ready_apart(process: Process) -> None:
    """200 if it is so, 503 if not, with what is known in the body."""
    with Probes(process, port=0, host="127.0.0.1") as watched:
        body = {"live": True, "ready": False, "stopping": False, "running": 3}
        assert ask(watched, "/livez") == (200, body)
        assert ask(watched, "/readyz?verbose") == (503, body)
        assert ask(watched, "/readyz", "HEAD") == (503, None)
        process.vitals = Vitals(live=False, ready=True)
        assert [ask(watched, path)[0] for path in ("/livez", "/readyz", "/")] == [503, 200, 404]


def test_every_address_of_the_machine_is_served_by_default(process: Process) -> None:
    """Kubernetes asks the address of the pod, not of the loopback interface."""
    families = [socket.AF_INET, *([socket.AF_INET6] if socket.has_dualstack_ipv6() else [])]
    with Probes(process, port=0) as watched:
        assert watched.address is not None
        for family, address in zip(families, ("127.0.0.1", "::1"), strict=False):
            with socket.socket(family) as client:
                client.connect((address, watched.address[1]))


def test_a_client_that_says_nothing_keeps_nobody_waiting(process: Process) -> None:
    """Each is answered on a thread of its own."""
    with Probes(process, port=0, host="127.0.0.1") as watched:
        assert watched.address is not None
        with socket.create_connection(watched.address):
            assert ask(watched, "/livez")[0] == 200


def test_a_taken_port_is_one_line(process: Process) -> None:
    """It is said before anything runs."""
    with (
        Probes(process, port=0, host="127.0.0.1") as first,
        pytest.raises(ConfigurationError, match=r"cannot answer probes on 127.0.0.1, port \d+: Ad"),
        Probes(process, port=first.address[1] if first.address else 0, host="127.0.0.1"),
    ):
        pass


@pytest.mark.usefixtures("quick")
def test_the_file_is_touched_while_live_and_removed_at_the_end(
    process: Process, tmp_path: Path
) -> None:
    """Whoever looks at it compares its age."""
    file = tmp_path / "alive"
    with Probes(process, file=file):
        os.utime(file, (0, 0))
        until(lambda: file.stat().st_mtime > 0)
        process.vitals = replace(process.vitals, live=False)
        process.is_asked(2)  # the first of them may have been answered before
        os.utime(file, (0, 0))
        process.is_asked(2)
        assert file.stat().st_mtime == 0
        process.vitals = replace(process.vitals, live=True)
        until(lambda: file.stat().st_mtime > 0)
    assert not file.exists()


def test_a_file_that_cannot_be_touched_is_one_line(process: Process, tmp_path: Path) -> None:
    """It is said before anything runs."""
    with (
        pytest.raises(ConfigurationError, match=r"cannot touch .*alive': No such file"),
        Probes(process, file=tmp_path / "nowhere" / "alive"),
    ):
        pass


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """The socket on which systemd listens."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.settimeout(PATIENCE)
    listening.bind(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return listening


@pytest.mark.usefixtures("quick")
def test_systemd_hears_when_the_service_is_ready_and_when_it_stops(
    process: Process, systemd: socket.socket
) -> None:
    """READY once, STOPPING as soon as it stops; children do not inherit the socket."""
    with Probes(process), systemd:
        assert "NOTIFY_SOCKET" not in os.environ
        process.vitals = Vitals(ready=True)
        assert systemd.recv(100) == b"READY=1"
        process.vitals = Vitals(stopping=True)
        assert systemd.recv(100) == b"STOPPING=1"


@pytest.mark.usefixtures("quick")
def test_the_watchdog_is_fed_only_while_live(
    process: Process, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blocked process is silent, and systemd restarts it."""
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    process.vitals = Vitals(live=False)
    with Probes(process), systemd:
        process.vitals = Vitals()
        assert systemd.recv(100) == b"WATCHDOG=1"
        process.vitals = Vitals(live=False, ready=True)
        while (heard := systemd.recv(100)) == b"WATCHDOG=1":
            pass
        assert heard == b"READY=1"
        process.vitals = Vitals(stopping=True, live=False)
        assert systemd.recv(100) == b"STOPPING=1"


def test_systemd_is_told_nothing_for_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name outside the file system works too; a watchdog of another process is not ours."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")  # the system chooses a name
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + listening.getsockname()[1:].decode())
        monkeypatch.setenv("WATCHDOG_USEC", "1")
        monkeypatch.setenv("WATCHDOG_PID", "1")
        told = Systemd.from_environment()
        told.see(Vitals())
        told.see(Vitals(ready=True))
        assert listening.recv(100) == b"READY=1"
