"""Whose connection the synchronous client uses, and whose transaction that is.

Given a connection of the caller's, everything joins the caller's transaction, and nothing is
committed or closed here. Given a pool, each call borrows a connection for a transaction of its own.
Given a DSN, one connection is opened when first needed, on which each call is a transaction. What
is sent is left to others.

Generated from async_access.py: change that file, then run tools/generate_sync_client.py.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg import Connection
from psycopg.pq import TransactionStatus

from pgtasker import surface
from pgtasker.clients.given import hurried, kind_of, require_open
from pgtasker.clients.twins import resolved
from pgtasker.dsn import connection_string, resolve_dsn
from pgtasker.errors import ConfigurationError

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

T = TypeVar("T")


class Access(ABC):
    """A way to the database; each subclass is one."""

    def __init__(self, schema: str) -> None:
        self.schema = schema

    @abstractmethod
    def connected(self) -> AbstractContextManager[Connection[Any]]:
        """The connection for a call; on leaving, what was done is committed unless joined."""

    def call(self, call: surface.Call[T]) -> T:
        """Send a call."""
        with self.connected() as connection:
            return surface.execute(connection, self.schema, call)

    def is_in_transaction(self) -> bool:
        """Whether calls join a transaction that is open now."""
        return False

    def require_no_transaction(self) -> None:  # noqa: B027 - most can have none
        """Refuse to wait for what others do while a transaction is open here."""

    def look(self, call: surface.Call[list[T]]) -> list[T] | None:
        """Send a call that only reads, while waiting; None if that is not possible now."""
        return self.call(call)

    def further(self, within: float) -> Connection[Any] | None:
        """Open one more connection, in autocommit, in about so many seconds; None if there is no
        way to it."""
        return None

    def close(self) -> None:  # noqa: B027 - some open nothing
        """Close what was opened here."""


class Joined(Access):
    """By a connection of the caller's."""

    def __init__(self, schema: str, connection: Connection[Any]) -> None:
        super().__init__(schema)
        self._connection = connection
        self._is_looking = False

    @contextmanager
    def connected(self) -> Iterator[Connection[Any]]:
        yield self._connection

    def require_no_transaction(self) -> None:
        if self.is_in_transaction() and not self._is_looking:
            raise ConfigurationError("cannot wait inside a transaction: commit it first")

    def look(self, call: surface.Call[list[T]]) -> list[T] | None:
        if self._connection.closed:
            raise ConfigurationError("cannot wait on: the connection is closed")
        if self.is_in_transaction():
            return None  # the caller is at something else
        self._is_looking = True
        try:
            return self.call(call)
        finally:
            if not (self._connection.autocommit or self._connection.closed):
                self._connection.rollback()
            self._is_looking = False

    def is_in_transaction(self) -> bool:
        """Also while something runs on a connection that begins one by itself."""
        status = self._connection.info.transaction_status
        if status == TransactionStatus.ACTIVE:
            return not self._connection.autocommit
        return status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)


class Own(Access):
    """By a connection of the client's own."""

    def __init__(self, schema: str, dsn: str | None, within: float | None = None) -> None:
        super().__init__(schema)
        self._given = dsn
        self._within = within
        self._dsn: str | None = None
        self._connection: Connection[Any] | None = None
        self._opening = threading.Lock()

    @contextmanager
    def connected(self) -> Iterator[Connection[Any]]:
        with self._opening:
            if self._connection is None or self._connection.closed:
                self._connection = self._open_own()
            connection = self._connection
        yield connection

    def further(self, within: float) -> Connection[Any] | None:
        return self._open(hurried(self._resolved(), {}, within))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open_own(self) -> Connection[Any]:
        if self._within is None:
            return self._open({})
        return self._open(hurried(self._resolved(), {}, self._within))

    def _open(self, parameters: dict[str, Any]) -> Connection[Any]:
        # Nothing is prepared: a pooler may hand each statement to another session.
        return Connection.connect(
            self._resolved(), autocommit=True, prepare_threshold=None, **parameters
        )

    def _resolved(self) -> str:
        if self._dsn is None:
            self._dsn = connection_string(resolve_dsn(self._given))
        return self._dsn


class Pooled(Access):
    """By the connections of a pool."""

    def __init__(self, schema: str, pool: ConnectionPool[Any]) -> None:
        super().__init__(schema)
        self._pool = pool

    @contextmanager
    def connected(self) -> Iterator[Connection[Any]]:
        require_open(self._pool)
        with self._pool.connection() as connection:
            yield connection

    def further(self, within: float) -> Connection[Any] | None:
        require_open(self._pool)
        conninfo = resolved(self._pool.conninfo) or ""
        given = resolved(self._pool.kwargs) or {}
        parameters = {**given, "autocommit": True, "prepare_threshold": None}
        connection: Connection[Any] = self._pool.connection_class.connect(
            conninfo, **hurried(conninfo, parameters, within)
        )
        return connection


def access_to(
    database: str | Connection[Any] | ConnectionPool[Any] | None,
    schema: str,
    *,
    within: float | None = None,
) -> Access:
    """The way to what a client was given; raises ConfigurationError if it is none.

    A connection of its own is opened in about so many seconds, or not at all.
    """
    given: Any = database
    match kind_of(given, awaited=False):
        case "connection":
            return Joined(schema, given)
        case "pool":
            return Pooled(schema, given)
        case _:
            return Own(schema, given, within)
