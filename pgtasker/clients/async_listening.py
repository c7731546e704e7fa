"""The further connection on which the asynchronous client listens for the end of tasks.

Responsible for opening it when somebody waits, for opening it again when it was lost, and for what
is heard on it. One at a time uses it; who that is, and what is asked, is left to `async_waiting`.

The synchronous twin is generated from this module by tools/generate_sync_client.py.
"""

from __future__ import annotations

import secrets
import time
import weakref
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus

from pgtasker import surface
from pgtasker.clients.async_access import AsyncAccess

CONNECTING = 10.0  # seconds, where no timeout is shorter
RELISTENING = 10.0  # seconds until it is tried again, where calls do get through


class AsyncListening:
    """One connection and one channel for all who wait on a client."""

    def __init__(self, access: AsyncAccess) -> None:
        self.channel = f"pgtasker_wait_{secrets.token_hex(8)}"
        self._access = access
        self._connection: AsyncConnection[Any] | None = None
        self._told: set[str] = set()
        self._closing: weakref.finalize[..., Any] | None = None
        self._open_at = 0.0

    @property
    def connection(self) -> AsyncConnection[Any] | None:
        """The connection, while it is open."""
        return self._connection

    async def open(self, within: float | None) -> bool:
        """Have it open in about so many seconds, if there is a way; whether it is a new one."""
        if self._connection is not None:
            if self._connection.info.transaction_status == TransactionStatus.IDLE:
                return False
            await self.close()  # whoever used it was interrupted
        if time.monotonic() < self._open_at:
            return False
        try:
            connection = await self._access.further(within or CONNECTING)
            if connection is None:
                self.give_up(float("inf"))
                return False
            await self._listen_on(connection)
        except (psycopg.Error, OSError):
            self.give_up()
            return False
        return True

    async def _listen_on(self, connection: AsyncConnection[Any]) -> None:
        try:
            told = self._told
            connection.add_notify_handler(lambda notice: told.add(notice.payload))
            listen = surface.listen(self.channel)
            await surface.execute_async(connection, self._access.schema, listen)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        # Whoever forgets to close a client leaves no open connection behind.
        self._closing = weakref.finalize(self, connection.pgconn.finish)

    def give_up(self, seconds: float = RELISTENING) -> None:
        """Do without it for so long."""
        self._open_at = time.monotonic() + seconds

    async def close(self) -> None:
        """Close it; it is opened again when somebody waits."""
        connection, self._connection = self._connection, None
        self._open_at = 0.0
        if self._closing is not None:
            self._closing.detach()
            self._closing = None
        if connection is not None:
            await connection.close()

    def hear(self) -> set[int]:
        """The tasks of whose end was told since the last question; raises if it was lost."""
        if self._connection is not None:
            self._connection.pgconn.consume_input()
            while notice := self._connection.pgconn.notifies():
                self._told.add(notice.extra.decode())
        texts = [self._told.pop() for _ in range(len(self._told))]
        return {int(text) for text in texts if text.isdecimal()}
