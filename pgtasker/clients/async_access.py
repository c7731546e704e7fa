"""Whose connection the asynchronous client uses, and whose transaction that is.

Given a connection of the caller's, everything joins the caller's transaction, and nothing is
committed or closed here. Given a pool, each call borrows a connection for a transaction of its own.
Given a DSN, one connection is opened when first needed, on which each call is a transaction. What
is sent is left to others.

The synchronous twin is generated from this module by tools/generate_sync_client.py.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus

from pgtasker import surface
from pgtasker.clients.given import hurried, kind_of, require_open
from pgtasker.clients.twins import resolved_async
from pgtasker.dsn import connection_string, resolve_dsn
from pgtasker.errors import ConfigurationError

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

T = TypeVar("T")


class AsyncAccess(ABC):
    """A way to the database; each subclass is one."""

    def __init__(self, schema: str) -> None:
        self.schema = schema

    @abstractmethod
    def connected(self) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
        """The connection for a call; on leaving, what was done is committed unless joined."""

    async def call(self, call: surface.Call[T]) -> T:
        """Send a call."""
        async with self.connected() as connection:
            return await surface.execute_async(connection, self.schema, call)

    def is_in_transaction(self) -> bool:
        """Whether calls join a transaction that is open now."""
        return False

    def require_no_transaction(self) -> None:  # noqa: B027 - most can have none
        """Refuse to wait for what others do while a transaction is open here."""

    async def look(self, call: surface.Call[list[T]]) -> list[T] | None:
        """Send a call that only reads, while waiting; None if that is not possible now."""
        return await self.call(call)

    async def further(self, within: float) -> AsyncConnection[Any] | None:
        """Open one more connection, in autocommit, in about so many seconds; None if there is no
        way to it."""
        return None

    async def close(self) -> None:  # noqa: B027 - some open nothing
        """Close what was opened here."""


class AsyncJoined(AsyncAccess):
    """By a connection of the caller's."""

    def __init__(self, schema: str, connection: AsyncConnection[Any]) -> None:
        super().__init__(schema)
        self._connection = connection
        self._is_looking = False

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[AsyncConnection[Any]]:
        yield self._connection

    def require_no_transaction(self) -> None:
        if self.is_in_transaction() and not self._is_looking:
            raise ConfigurationError("cannot wait inside a transaction: commit it first")

    async def look(self, call: surface.Call[list[T]]) -> list[T] | None:
        if self._connection.closed:
            raise ConfigurationError("cannot wait on: the connection is closed")
        if self.is_in_transaction():
            return None  # the caller is at something else
        self._is_looking = True
        try:
            return await self.call(call)
        finally:
            if not (self._connection.autocommit or self._connection.closed):
                await self._connection.rollback()
            self._is_looking = False

    def is_in_transaction(self) -> bool:
        """Also while something runs on a connection that begins one by itself."""
        status = self._connection.info.transaction_status
        if status == TransactionStatus.ACTIVE:
            return not self._connection.autocommit
        return status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)


class AsyncOwn(AsyncAccess):
    """By a connection of the client's own."""

    def __init__(self, schema: str, dsn: str | None, within: float | None = None) -> None:
        super().__init__(schema)
        self._given = dsn
        self._within = within
        self._dsn: str | None = None
        self._connection: AsyncConnection[Any] | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[AsyncConnection[Any]]:
        async with self._opening:
            if self._connection is None or self._connection.closed:
                self._connection = await self._open_own()
            connection = self._connection
        yield connection

    async def further(self, within: float) -> AsyncConnection[Any] | None:
        return await self._open(hurried(self._resolved(), {}, within))

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _open_own(self) -> AsyncConnection[Any]:
        if self._within is None:
            return await self._open({})
        return await self._open(hurried(self._resolved(), {}, self._within))

    async def _open(self, parameters: dict[str, Any]) -> AsyncConnection[Any]:
        # Nothing is prepared: a pooler may hand each statement to another session.
        return await AsyncConnection.connect(
            self._resolved(), autocommit=True, prepare_threshold=None, **parameters
        )

    def _resolved(self) -> str:
        if self._dsn is None:
            self._dsn = connection_string(resolve_dsn(self._given))
        return self._dsn


class AsyncPooled(AsyncAccess):
    """By the connections of a pool."""

    def __init__(self, schema: str, pool: AsyncConnectionPool[Any]) -> None:
        super().__init__(schema)
        self._pool = pool

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[AsyncConnection[Any]]:
        require_open(self._pool)
        async with self._pool.connection() as connection:
            yield connection

    async def further(self, within: float) -> AsyncConnection[Any] | None:
        require_open(self._pool)
        conninfo = await resolved_async(self._pool.conninfo) or ""
        given = await resolved_async(self._pool.kwargs) or {}
        parameters = {**given, "autocommit": True, "prepare_threshold": None}
        connection: AsyncConnection[Any] = await self._pool.connection_class.connect(
            conninfo, **hurried(conninfo, parameters, within)
        )
        return connection


def access_to(
    database: str | AsyncConnection[Any] | AsyncConnectionPool[Any] | None,
    schema: str,
    *,
    within: float | None = None,
) -> AsyncAccess:
    """The way to what a client was given; raises ConfigurationError if it is none.

    A connection of its own is opened in about so many seconds, or not at all.
    """
    given: Any = database
    match kind_of(given, awaited=True):
        case "connection":
            return AsyncJoined(schema, given)
        case "pool":
            return AsyncPooled(schema, given)
        case _:
            return AsyncOwn(schema, given, within)
