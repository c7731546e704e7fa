"""Databases of the pytest plugin: on a server that is given, or on an embedded one of the run.

Responsible for starting that server and removing it, for a database with an install for tests, and
for emptying the install between tests. Who asks for it, and when, is left to `plugin`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgtasker import embedded
from pgtasker.dsn import connection_string, resolve_dsn, resolve_schema, shown
from pgtasker.errors import PgtaskerError, one_line
from pgtasker.schema_files import objects
from pgtasker.testing.clock import install

PREFIX = "pgtasker-pytest-"
LONGEST_BASE = 40  # characters; the path of a socket must be short
LOGS = ("task_transitions", "workflow_step_transitions")  # from which nothing can be deleted
LOCK_PATIENCE = "10s"  # that a reset waits for sessions which a test left busy

# The server of a run forgets everything at its end, so it need not be durable.
SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_RESTART = """
    select setval(format('%%I.%%I', schemaname, sequencename)::regclass, start_value, false)
    from pg_sequences
    where schemaname = %s
"""


class TestDatabaseError(PgtaskerError):
    """There is no database for the tests; the message says why and what to do."""

    __test__ = False  # the name does not make it a test


def home() -> Path:
    """Where the embedded server of this run would live; nothing is there yet."""
    base = tempfile.gettempdir()
    base = base if len(base) <= LONGEST_BASE else "/tmp"
    return Path(base, f"{PREFIX}{os.getpid()}-{uuid.uuid4().hex[:6]}")


def start_server(home: Path) -> str:
    """Start the embedded server there, unless another process of this run did; its DSN."""
    _sweep(home.parent)
    home.mkdir(mode=0o755, exist_ok=True)
    with _at(home):
        try:
            dsn = embedded.start()
        except embedded.EmbeddedServerError as error:
            raise TestDatabaseError(
                f"{error}; or give a server with --pgtasker-dsn or PGTASKER_TEST_DSN"
            ) from error
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, value in SETTINGS.items():
            connection.execute(
                sql.SQL("alter system set {} = {}").format(sql.Identifier(name), value)
            )
        connection.execute("select pg_reload_conf()")
    return dsn


def remove_server(home: Path) -> None:
    """Stop the embedded server that lives there, if one does, and remove all of it."""
    if home.exists():
        with _at(home), contextlib.suppress(PgtaskerError):
            embedded.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def temporary(server: str, worker: str) -> Iterator[str]:
    """A database with an install for tests, on that server; its DSN. It is dropped in the end."""
    name = f"pgtasker_test_{uuid.uuid4().hex[:8]}_{worker}"
    identifier = sql.Identifier(name)
    server = resolve_dsn(server)
    with _explained(server):
        admin = psycopg.connect(connection_string(server), autocommit=True)
    with admin:
        with _explained(server):
            admin.execute(sql.SQL("create database {} template template0").format(identifier))
        try:
            dsn = make_conninfo(server, dbname=name)
            with psycopg.connect(dsn) as connection:
                install(connection)
            yield dsn
        finally:
            admin.execute(sql.SQL("drop database {} with (force)").format(identifier))


class Install:
    """An install that is new, and can be made so again."""

    def __init__(self, dsn: str) -> None:
        self._schema = resolve_schema()
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.execute(f"set lock_timeout = '{LOCK_PATIENCE}'".encode())
        self._tables = objects().names["table"]  # those that refer to others come later
        rows = {table: self._rows(table) for table in self._tables}
        self._held = {table: content for table, content in rows.items() if content is not None}

    def reset(self) -> None:
        """Empty every table, and write what a new install holds; ids begin at 1 again.

        Rows of the application that refer to those must be gone. Raises TestDatabaseError if a
        session that the test left open keeps a table locked.
        """
        emptied = sql.SQL(";").join(map(self._emptied, reversed(self._tables)))
        try:
            with self._connection.transaction():
                self._connection.execute(emptied)
                for table, content in self._held.items():
                    self._connection.execute(self._filled(table), [content])
                self._connection.execute(_RESTART, [self._schema])
        except psycopg.errors.LockNotAvailable as error:
            raise TestDatabaseError(
                "the install cannot be emptied: a session that the test left open is still in a "
                "transaction, close it in the test"
            ) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _rows(self, table: str) -> Any:
        name = sql.Identifier(self._schema, table)
        look = sql.SQL("select jsonb_agg(to_jsonb(t))::text from {} t").format(name)
        row = self._connection.execute(look).fetchone()
        return None if row is None else row[0]

    def _emptied(self, table: str) -> sql.Composed:
        text = "truncate {}" if table in LOGS else "delete from {}"
        return sql.SQL(text).format(sql.Identifier(self._schema, table))

    def _filled(self, table: str) -> sql.Composed:
        return sql.SQL(
            "insert into {0} overriding system value "
            "select * from jsonb_populate_recordset(null::{0}, %s)"
        ).format(sql.Identifier(self._schema.replace("%", "%%"), table))


@contextlib.contextmanager
def _explained(server: str) -> Iterator[None]:
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise TestDatabaseError(
            f"the user of {shown(server)} may not create databases: "
            "let it with ALTER ROLE ... CREATEDB, or give another --pgtasker-dsn"
        ) from error
    except psycopg.Error as error:
        raise TestDatabaseError(
            f"the server at {shown(server)} cannot be used: {one_line(error)}"
        ) from error


@contextlib.contextmanager
def _at(home: Path) -> Iterator[None]:
    with mock.patch.dict(os.environ, {"PGTASKER_HOME": str(home)}):
        yield


def _sweep(base: Path) -> None:
    """Remove the servers of runs that were killed before they could."""
    for left in base.glob(f"{PREFIX}*-*"):
        owner = left.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not _lives(int(owner)):
            remove_server(left)


def _lives(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
