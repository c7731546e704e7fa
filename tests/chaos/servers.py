"""PostgreSQL servers that may be crashed, copied and promoted: durable, and on a port of loopback.

Responsible for one server and its standby; a database in it with an install is a copy of a
template. Where the programs are is left to the caller.
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgtasker import installer

from ..support import servers

HOST = "127.0.0.1"
DURABLE = {
    **servers.SETTINGS,
    "autovacuum": "on",
    "full_page_writes": "on",
    "hot_standby": "on",
    "listen_addresses": HOST,
    "max_wal_senders": "4",
    "max_wal_size": "1GB",
    "synchronous_commit": "on",
    "wal_level": "replica",
}
TEMPLATE = "chaos_template"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Server:
    """A server whose data lie in a directory of their own; `settings` replace those of DURABLE."""

    def __init__(self, bindir: Path, data: Path, settings: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.data = data
        chosen = {**DURABLE, "port": str(self.port), **(settings or {})}
        facts = servers.start_local(bindir, data, chosen)
        self.bindir = Path(facts["bindir"])
        self._numbers = itertools.count(1)

    @classmethod
    def standby_of(cls, primary: Server, data: Path) -> Server:
        """A streaming standby, which answers when this returns."""
        standby = cls.__new__(cls)
        standby.port, standby.data, standby.bindir = free_port(), data, primary.bindir
        standby._numbers = itertools.count(1001)
        user = servers.unprivileged_user()
        data.mkdir(mode=0o700)
        if user is not None:
            shutil.chown(data, user)
        source = f"host={HOST} port={primary.port} user=postgres application_name=standby"
        primary.program(
            "pg_basebackup", "-D", data, "-d", source, "-R", "-X", "stream", "-c", "fast"
        )
        with (data / "postgresql.conf").open("a") as conf:
            conf.write(f"port = {standby.port}\nunix_socket_directories = '{data}'\n")
        standby.start()
        return standby

    def program(self, name: str, *arguments: object) -> None:
        """Run one of the server's programs as the account that the server has."""
        servers._run_as(servers.unprivileged_user(), self.bindir, [name, *arguments])

    def dsn(self, database: str = "postgres", **more: Any) -> str:
        """How a client gets there over TCP."""
        return make_conninfo(
            "", host=HOST, port=self.port, user="postgres", dbname=database, **more
        )

    def admin(self) -> psycopg.Connection[Any]:
        """A session of the superuser, in autocommit."""
        return psycopg.connect(self.dsn(), autocommit=True)

    def database(self, **settings: str) -> str:
        """The name of a new database with an install, tuned like this."""
        with self.admin() as conn:
            if not conn.execute(
                "select 1 from pg_database where datname = %s", [TEMPLATE]
            ).fetchone():
                conn.execute(f"create database {TEMPLATE} template template0")
                with psycopg.connect(self.dsn(TEMPLATE)) as template:
                    installer.install(template, "pgtasker")
            name = f"chaos_{next(self._numbers)}"
            conn.execute(f"create database {name} template {TEMPLATE} strategy file_copy")
        with psycopg.connect(self.dsn(name)) as conn:
            for setting in settings.items():
                conn.execute("select pgtasker.set_setting(name => %s, value => %s)", setting)
        return name

    def drop(self, database: str) -> None:
        """Drop a database, whoever is in it."""
        with self.admin() as conn:
            conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(database)))

    def stop(self, mode: str = "immediate") -> None:
        """Stop it as `pg_ctl stop -m MODE` does; `immediate` is a crash."""
        servers.stop_local(self.bindir, self.data, mode)

    def start(self) -> None:
        """Start it again, and wait until it answers."""
        servers.start_again(self.bindir, self.data)

    def promote(self) -> None:
        """Make a standby the primary, and wait until it is."""
        self.program("pg_ctl", "-w", "-D", self.data, "promote")

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.data / "log").read_text(errors="replace")

    def remove(self) -> None:
        """Stop it, if it runs, and remove what it wrote."""
        if (self.data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.data, ignore_errors=True)


class Pooler:
    """PgBouncer in transaction mode before a server; None from `of` where it is not installed."""

    def __init__(self, program: str, directory: Path, server: Server) -> None:
        self.port = free_port()
        self._program, self._directory = program, directory
        directory.mkdir()
        user = servers.unprivileged_user()
        if user is not None:
            shutil.chown(directory, user)
        (directory / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={HOST} port={server.port} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {self.port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 20\n"
            "max_client_conn = 200\nignore_startup_parameters = extra_float_digits\n"
            f"logfile = {directory}/log\n"
        )
        self.process = self._start()

    @staticmethod
    def find() -> str | None:
        """The program, if this machine has it."""
        return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

    def _start(self) -> subprocess.Popen[bytes]:
        user = servers.unprivileged_user()
        arguments = [self._program, "-q", str(self._directory / "pgbouncer.ini")]
        process = subprocess.Popen(
            arguments,
            user=user,
            extra_groups=None if user is None else [],
            cwd="/",
            stderr=subprocess.DEVNULL,
        )
        while True:
            assert process.poll() is None, (self._directory / "log").read_text()
            try:
                socket.create_connection((HOST, self.port), timeout=1).close()
            except OSError:
                continue
            return process

    def dsn(self, database: str) -> str:
        """How a client gets to a database through it."""
        return make_conninfo("", host=HOST, port=self.port, user="postgres", dbname=database)

    def restart(self) -> None:
        """Kill it and start it again: every connection through it is lost."""
        self.close()
        self.process = self._start()

    def close(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
