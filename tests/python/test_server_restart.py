"""A restart of the database server in the middle of a step costs nobody an attempt.

A server of these tests' own, which keeps what it committed, is stopped and started again under two
`pgtasker run` processes. They come back by themselves; no step is executed twice, and what ended
while there was no server is reported afterwards.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgtasker import Client, installer

from ..support.databases import Databases
from ..support.servers import SETTINGS, start_again, start_local, stop_local
from .six_steps import STEPS, SixSteps

pytestmark = pytest.mark.newest_only  # a restart is a restart, whatever the version

DURABLE = {**SETTINGS, "synchronous_commit": "on", "full_page_writes": "on"}
SHORT_LEASE = 2.0  # seconds


class Server:
    """A PostgreSQL of the tests' own, which they may stop and start again."""

    def __init__(self, bindir: Path, data: Path) -> None:
        facts = start_local(bindir, data, DURABLE)
        self._bindir, self._data, self._dsn = Path(facts["bindir"]), data, facts["dsn"]
        self._numbers = itertools.count(1)

    def database(self, **settings: str) -> str:
        """The DSN of a new database with an install, tuned like this."""
        name = f"restart_{next(self._numbers)}"
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            conn.execute(f"create database {name}")
        dsn = make_conninfo(self._dsn, dbname=name)
        with psycopg.connect(dsn) as conn:
            installer.install(conn, "pgtasker")
            for setting in settings.items():
                conn.execute("select pgtasker.set_setting(name => %s, value => %s)", setting)
        return dsn

    def stop(self, mode: str) -> None:
        """Stop it as `pg_ctl stop -m MODE` does; `immediate` is a crash."""
        stop_local(self._bindir, self._data, mode)

    def start(self) -> None:
        """Start it again, and wait until it answers."""
        start_again(self._bindir, self._data)


@pytest.fixture(scope="module")
def own_server(server: Databases) -> Iterator[Server]:
    """It lies beside the shared one, so that the end of the run removes it with that one."""
    if "data" not in server.facts:
        pytest.skip("this server cannot be restarted from here")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    data = Path(server.facts["data"]).with_name(f"restart-{worker}")
    own_server = Server(Path(server.facts["bindir"]), data)
    yield own_server
    own_server.stop("immediate")


@pytest.fixture
def six(own_server: Server, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SixSteps]:
    """Two runners on a new database; a parameter is the database's lease."""
    lease = {"lease": request.param} if hasattr(request, "param") else {}
    six = SixSteps(own_server.database(**lease), tmp_path)
    six.run(2)
    yield six
    six.close()


def start(six: SixSteps) -> int:
    """Start a task and let it get as far as two steps, one at each runner."""
    task_id = six.start()
    six.open("first")
    six.until(lambda: six.begun == ["first", "left", "right"])
    return task_id


def finish(six: SixSteps, task_id: int) -> None:
    """Let the task end; nothing about it may tell that there was a restart."""
    six.open(*STEPS)
    six.until_complete(task_id)
    with Client(six.dsn) as client:
        attempts = {step.name: step.attempts for step in client.get_task_steps(task_id)}
        assert attempts == dict.fromkeys(STEPS, 1), six.said()
        assert six.begun == sorted(STEPS), six.said()
        runners = [(runner.name, runner.state) for runner in client.list_runners()]
        assert sorted(runners) == [("runner1", "live"), ("runner2", "live")], six.said()
        assert client.check_consistency() == []


@pytest.mark.parametrize("mode", ["immediate", "fast"])
def test_a_restart_costs_no_attempt(own_server: Server, six: SixSteps, mode: str) -> None:
    """The server crashes, or is shut down, while steps run: they end as if it had not."""
    task_id = start(six)
    own_server.stop(mode)
    six.open("left")  # ends while there is nobody to tell
    own_server.start()
    finish(six, task_id)


@pytest.mark.parametrize("six", [f"{SHORT_LEASE} s"], indirect=True)
def test_an_outage_longer_than_the_lease_costs_no_attempt(
    own_server: Server, six: SixSteps
) -> None:
    """Nobody can renew a lease at a server that is away: each gets one more to come back."""
    task_id = start(six)
    own_server.stop("immediate")
    six.open("left")
    over = time.monotonic() + 1.5 * SHORT_LEASE
    six.until(lambda: time.monotonic() > over)
    own_server.start()
    finish(six, task_id)
