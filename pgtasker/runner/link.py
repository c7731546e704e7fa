"""A connection that is opened again for ever.

Responsible for opening it, for growing, jittered pauses between attempts, and for one line in the
log about each. What must be said again on a new connection is left to the runner.
"""

from __future__ import annotations

import asyncio
import random
import re
from typing import Any, TypeVar

import psycopg

from pgtasker import surface
from pgtasker.dsn import connection_string
from pgtasker.errors import NotInstalled, one_line

T = TypeVar("T")

SHORTEST_PAUSE = 0.1  # seconds
LONGEST_PAUSE = 10.0
Trouble = (psycopg.Error, NotInstalled, OSError)
_REFUSED = re.compile(
    r"authentication failed|no password supplied|pg_hba\.conf|not permitted to log in"
    r'|(role|user|database) ".*" does not exist|permission denied for database'
    r"|SSL was required|certificate|unrecognized configuration parameter"
)
_IMPOSSIBLE = re.compile(r"connection is bad: (invalid|definition of)|could not match \d+ ")


class Link:
    """One connection, in autocommit; `role` names it in the log."""

    def __init__(self, role: str, dsn: str, schema: str, log: Any) -> None:
        self._role = role
        self._dsn = connection_string(dsn)
        self._schema = schema
        self._log = log
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._opening = asyncio.Lock()
        self._failures = 0
        self.longest_pause = LONGEST_PAUSE

    async def execute(self, call: surface.Call[T]) -> T:
        """Send a call, on a new connection if the last one is gone; errors are the caller's."""
        answer = await surface.execute_async(await self._opened(), self._schema, call)
        self._failures = 0
        return answer

    async def execute_anyhow(self, call: surface.Call[T]) -> T:
        """Send a call that may be sent twice: again, at once, if its connection turns out lost."""
        connection = self._connection
        known = connection is not None and not connection.closed
        try:
            return await self.execute(call)
        except Trouble:
            if connection is None or not (known and connection.closed):
                raise
            return await self.execute(call)

    async def notified(self, timeout: float) -> bool:
        """Wait for a notification, at most that many seconds; whether one came."""
        came = False
        connection = await self._opened()
        # Read to its end: the generator keeps the connection's lock until then.
        async for _ in connection.notifies(timeout=max(0.0, timeout), stop_after=1):
            came = True
        return came

    async def recover(self, error: BaseException) -> None:
        """Say what went wrong and pause, longer each time until a call succeeds again.

        A connection that worked and is gone is opened again at once: it may be the only one.
        """
        self._failures += 1
        usable = self._connection is not None and not self._connection.closed
        lost_just_now = self._failures == 1 and not usable
        pause = 0.0 if lost_just_now else pause_after(self._failures, self.longest_pause)
        self._log.warning(
            "call failed" if usable else "no connection",
            connection=self._role,
            error=one_line(error),
            retry_in=round(pause, 1),
        )
        await asyncio.sleep(pause)

    async def close(self) -> None:
        """Close the connection; nothing opens it again but a further call."""
        if self._connection is not None:
            await self._connection.close()

    async def _opened(self) -> psycopg.AsyncConnection[Any]:
        async with self._opening:
            if self._connection is None or self._connection.closed:
                # Nothing is prepared: a pooler may hand each statement to another session, and an
                # upgrade may change what a function returns.
                self._connection = await psycopg.AsyncConnection.connect(
                    self._dsn, autocommit=True, prepare_threshold=None
                )
            return self._connection


def pause_after(failures: int, longest_pause: float = LONGEST_PAUSE) -> float:
    """Seconds until the next attempt, after so many failures in a row."""
    longest = min(longest_pause, SHORTEST_PAUSE * 2 ** min(failures, 10))
    return random.uniform(longest / 2, longest)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later without anybody doing anything about it."""
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    if state is None:
        return isinstance(error, OSError | psycopg.OperationalError | psycopg.InterfaceError)
    return state[:2] in ("08", "40", "53", "57", "58") or state == "55P03"


def is_refusal(error: BaseException) -> bool:
    """Whether the database cannot store what was sent (a data exception, a limit)."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] in ("22", "54")


def needs_a_person(error: BaseException) -> bool:
    """Whether a connection failed for a reason that does not go away by itself.

    libpq gives no SQLSTATE for it, only words. Of several hosts none may be merely away. Words in
    another language count as passing trouble: retrying what cannot succeed only costs log lines.
    """
    if not isinstance(error, psycopg.OperationalError) or error.sqlstate is not None:
        return False
    said = str(error)
    if (error.pgconn is not None and error.pgconn.needs_password) or _IMPOSSIBLE.match(said):
        return True
    _, _, each = said.partition("Multiple connection attempts failed.")
    failures = [line for line in (each or said).splitlines() if " failed: " in line]
    return bool(failures) and all(_REFUSED.search(failure) for failure in failures)
