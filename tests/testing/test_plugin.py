"""The pytest plugin, in test runs of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgtasker.testing import databases

from ..support.databases import Databases

pytestmark = pytest.mark.newest_only

PLAIN = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")  # the second costs a second each
Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, server: Databases, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a module of tests in this process, on the server of these tests unless told another."""
    monkeypatch.delenv("PGTASKER_TEST_DSN", raising=False)

    def run(module: str, *options: str, dsn: str | None = None) -> pytest.RunResult:
        pytester.makepyfile(module)
        given = f"--pgtasker-dsn={server.facts['dsn'] if dsn is None else dsn}"
        return pytester.runpytest_inprocess(*PLAIN, given, *options)

    return run


def test_the_package_brings_the_plugin(pytester: pytest.Pytester):
    """Installed is enough; a run that uses no fixture of it starts no server."""
    pytester.makepyfile(
        "def test_nothing(request): assert request.config.getoption('pgtasker_dsn') is None"
    )
    before = set(Path(tempfile.gettempdir()).glob(f"{databases.PREFIX}*"))
    pytester.runpytest_inprocess(*PLAIN).assert_outcomes(passed=1)
    assert set(Path(tempfile.gettempdir()).glob(f"{databases.PREFIX}*")) <= before


def test_each_test_finds_an_install_as_new_and_nothing_is_left(run: Run, server: Databases):
    """Tasks, runners, settings and the time of one test are not those of the next; afterwards the
    database is gone."""
    result = run("""
        import datetime
        import pytest
        from pathlib import Path
        from pgtasker import Client, surface
        from pgtasker.testing import ConfigurableFailureHandler, linear

        @pytest.mark.parametrize("time", [1, 2])
        def test_fresh(pgtasker_run, pgtasker_client, pgtasker_clock, pgtasker_database, time):
            Path("dsn").write_text(pgtasker_database)
            assert pgtasker_client.list_tasks() == []
            assert pgtasker_client.list_runners() == []
            assert pgtasker_client.call(surface.get_setting("lease")) == "15 s"
            now = datetime.datetime.now(datetime.UTC)
            assert pgtasker_clock.now() - now < datetime.timedelta(hours=1)
            pgtasker_clock.move(days=1)
            pgtasker_client.call(surface.set_setting("lease", "20 s"))
            task = pgtasker_run(linear(handler=ConfigurableFailureHandler(2, results=7)))
            assert (task.task_id, task.results) == (1, {"step_6": 7})
            assert pgtasker_client.check_consistency() == []

        def test_inline(pgtasker_inline, pgtasker_client, pgtasker_dsn, pgtasker_database):
            assert pgtasker_dsn == pgtasker_database
            pgtasker_inline(linear())
            with pytest.raises(Exception):
                pgtasker_client.register({"name": "flow", "steps": []})
            with Client(pgtasker_dsn) as client:
                assert client.get_task(client.start("shapes/linear")).complete

        def test_inline_is_over(pgtasker_client):
            pgtasker_client.register(linear())
            assert pgtasker_client.get_task(pgtasker_client.start(linear())).state == "pending"
    """)
    result.assert_outcomes(passed=4)
    name = psycopg.conninfo.conninfo_to_dict(Path("dsn").read_text())["dbname"]
    with psycopg.connect(server.facts["dsn"]) as connection:
        known = "select count(*) from pg_database where datname = %s"
        assert connection.execute(known, [name]).fetchone() == (0,)


def test_what_a_handler_raises_is_shown_without_what_is_between(run: Run):
    """The report of a failed test has the frames of the test and of the handler."""
    result = run("""
        from pgtasker import Workflow

        flow = Workflow("flow")

        @flow.step(retry_limit=1)
        def work():
            raise ValueError("here it went wrong")

        def test_flow(pgtasker_run):
            pgtasker_run(flow, raise_errors=True)
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*raise ValueError*", "E *ValueError: here it went wrong"])
    result.stdout.no_fnmatch_line("*script.send*")


def test_a_session_that_is_left_open_is_told(run: Run, monkeypatch: pytest.MonkeyPatch):
    """The install cannot be emptied under it, and waiting for it would never end."""
    monkeypatch.setattr(databases, "LOCK_PATIENCE", "50ms")
    result = run("""
        import psycopg

        left = []

        def test_leaves_a_transaction_open(pgtasker_run, pgtasker_database):
            from pgtasker.testing import linear
            pgtasker_run(linear())
            left.append(psycopg.connect(pgtasker_database))
            left[0].execute("select from pgtasker.tasks for update")
    """)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*a session that the test left open is still in a transaction*"])


NEEDS_A_DATABASE = "def test_needs_a_database(pgtasker_client): pass"


@pytest.mark.parametrize(
    ("dsn", "reason"),
    [
        ("host=/nowhere port=1", "*the server at host=/nowhere port=1 cannot be used: *"),
        ("this is no dsn", "*the DSN cannot be parsed*"),
    ],
)
def test_a_server_that_cannot_be_used_is_one_clear_line(run: Run, dsn: str, reason: str):
    """Instead of a traceback for each test."""
    result = run(NEEDS_A_DATABASE, dsn=dsn)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([reason])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_user_who_may_not_create_databases_is_told(run: Run, server: Databases):
    """With what to do about it."""
    with psycopg.connect(server.facts["dsn"], autocommit=True) as connection:
        role = f"pgtasker_poor_{os.getpid()}"
        connection.execute(f"create role {role} login".encode())
        try:
            dsn = make_conninfo(server.facts["dsn"], user=role, dbname="postgres")
            result = run(NEEDS_A_DATABASE, dsn=dsn)
        finally:
            connection.execute(f"drop role {role}".encode())
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*may not create databases: let it with ALTER ROLE*"])


def test_without_a_server_and_the_wheel_there_is_advice(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    """Install the one or give the other."""
    monkeypatch.delenv("PGTASKER_TEST_DSN", raising=False)

    def refuse() -> str:
        raise databases.embedded.EmbeddedServerError("the embedded server is not installed")

    monkeypatch.setattr(databases.embedded, "start", refuse)
    pytester.makepyfile(NEEDS_A_DATABASE)
    result = pytester.runpytest_inprocess(*PLAIN)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*not installed; or give a server with --pgtasker-dsn or PGTASK*"])


@pytest.fixture
def temporary_directory() -> Iterator[Path]:
    """One with a short name, which every account may enter."""
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.embedded
def test_workers_share_an_embedded_server_that_is_gone_afterwards(
    pytester: pytest.Pytester, temporary_directory: Path
):
    """Each worker of pytest-xdist has a database of its own there; what a run that was killed left
    behind is removed too."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left_behind = temporary_directory / f"{databases.PREFIX}{ended.pid}-abcdef"
    (left_behind / "data").mkdir(parents=True)
    pytester.makepyfile("""
        import os
        import pytest
        from pathlib import Path
        from psycopg.conninfo import conninfo_to_dict
        from pgtasker.testing import diamond

        @pytest.mark.parametrize("number", [1, 2])
        def test_runs(pgtasker_run, pgtasker_database, number):
            assert pgtasker_run(diamond()).task_id == 1
            dsn = conninfo_to_dict(pgtasker_database)
            assert dsn["dbname"].endswith(os.environ["PYTEST_XDIST_WORKER"])
            with open("servers", "a") as servers:
                servers.write(dsn["host"] + "\\n")
    """)
    environment = {**os.environ, "TMPDIR": str(temporary_directory)}
    environment.pop("PGTASKER_TEST_DSN", None)
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "each", *PLAIN]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    servers = Path("servers").read_text().split()
    assert len(servers) == 4
    assert len(set(servers)) == 1
    assert list(temporary_directory.glob(f"{databases.PREFIX}*")) == []
