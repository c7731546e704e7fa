"""The connection on which what a handler writes and the completion of its step are one transaction.

Responsible for opening such connections, at most so many at once and only when handlers ask, and
for the end of a transaction: committed with the completion, or not at all. A transaction that is
not committed ends with its connection. What becomes of other outcomes is left to `execution`.

`complete_step` and the commit are sent together: so a runner that stands still between the two
holds no lock of the engine.

The synchronous twin is generated from this module by tools/generate_sync_client.py.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import AsyncConnection, AsyncCursor, AsyncTransaction
from psycopg.errors import InvalidParameterValue, PipelineAborted
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from pgtasker import surface
from pgtasker.clients.twins import rest_async
from pgtasker.dsn import connection_string
from pgtasker.errors import ClaimLost, PermanentError, one_line, translated
from pgtasker.runner.link import is_refusal, is_transient, needs_a_person, pause_after
from pgtasker.runner.outcomes import COMMITTED, LOST, Outcome, failed, refused
from pgtasker.runner.step import no_longer_counts

if TYPE_CHECKING:
    from pgtasker.runner.attempt import Attempt

# What another handler may have left in the session; all of DISCARD ALL but the plans, which the
# engine's own functions need, and prepared statements, of which a pooler has its own.
CLEAN = """
    close all; set session authorization default; reset all; unlisten *;
    select pg_advisory_unlock_all(); discard temp; discard sequences
"""
# The server looks whether we are still there also while a statement runs or waits for a lock.
LOOK = "set local client_connection_check_interval = '1s'"


class AsyncCompletions:
    """The connections of one runner for its completions: at most `most` are in use at once."""

    def __init__(self, dsn: str, schema: str, most: int) -> None:
        self.schema = schema
        self._dsn = connection_string(dsn)
        self._places = asyncio.Semaphore(most)
        self._idle: list[AsyncConnection[Any]] = []
        self._closed = False

    async def take(self, attempt: Attempt) -> AsyncConnection[Any]:
        """A connection for an attempt; waits for a place, and for a database that is away.

        Raises ClaimLost if the attempt no longer counts then, and what nobody but a person can put
        right.
        """
        await self._places.acquire()
        try:
            failures = 0
            while not attempt.cancelled:
                try:
                    return await self._usable()
                except (psycopg.Error, OSError) as error:
                    if needs_a_person(error) or not is_transient(error):
                        raise
                    failures += 1
                    pause = pause_after(failures)
                    attempt.logger.warning(
                        "no connection",
                        connection="completion",
                        error=one_line(error),
                        retry_in=round(pause, 1),
                    )
                    await rest_async(pause)
            raise no_longer_counts()
        except BaseException:
            self._places.release()
            raise

    async def give_back(self, connection: AsyncConnection[Any], *, usable: bool) -> None:
        """The attempt needs it no longer."""
        try:
            if usable and not (connection.closed or self._closed):
                self._idle.append(connection)
            else:
                await connection.close()
        finally:
            self._places.release()

    async def close(self) -> None:
        """Close those that nobody uses; those in use are closed when they come back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _usable(self) -> AsyncConnection[Any]:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                # Nothing is prepared: a pooler may hand each transaction to another session.
                return await AsyncConnection.connect(
                    self._dsn, autocommit=True, prepare_threshold=None
                )
            try:
                await connection.execute(CLEAN)
            except BaseException as error:
                await connection.close()
                if not isinstance(error, psycopg.Error):
                    raise
            else:
                connection.row_factory = tuple_row
                connection.cursor_factory = AsyncCursor
                return connection


class AsyncCompletion:
    """The transaction of one attempt, if its handler asks for one.

    `ask` asks the database whether the attempt still counts, until it answers.
    """

    def __init__(
        self, attempt: Attempt, completions: AsyncCompletions, ask: Callable[[None, None], Any]
    ) -> None:
        self._attempt = attempt
        self._completions = completions
        self._ask = ask
        self._opening = asyncio.Lock()
        self._using = threading.Lock()  # held for moments only
        self._connection: AsyncConnection[Any] | None = None
        self._transaction: AbstractAsyncContextManager[AsyncTransaction]
        self._is_over = False
        self._is_cut = False
        self.is_deciding = False  # whether only the database knows how the attempt ends

    async def connection(self) -> AsyncConnection[Any]:
        """The connection, in a transaction that the first call begins."""
        async with self._opening:
            if self._connection is None:
                connection = await self._completions.take(self._attempt)
                with self._using:
                    self._connection = None if self._is_over else connection
                if self._connection is None:
                    await self._completions.give_back(connection, usable=True)
                    raise no_longer_counts()
                await self._begin(connection)
            if self._attempt.cancelled:
                raise no_longer_counts()
            return self._connection

    def cut(self) -> None:
        """The attempt no longer counts: undo what it wrote, whatever its handler is doing."""
        with self._using:
            self._is_cut = True
            if self._connection is not None and not self._connection.closed:
                with (
                    suppress(OSError),
                    socket.socket(fileno=os.dup(self._connection.fileno())) as line,
                ):
                    line.shutdown(socket.SHUT_RDWR)

    async def end(self, outcome: Outcome) -> Outcome:
        """Complete the step and commit if the handler returned, undo what it wrote if not.

        Answers what is still to be reported, COMMITTED or LOST.
        """
        with self._using:
            self._is_over = True
        if self._connection is None:
            return outcome
        usable = False
        try:
            if outcome.outcome != "complete" or self._attempt.cancelled:
                return outcome
            self.is_deciding = True
            await self._commit(self._connection, outcome)
            usable = True
            return COMMITTED
        except ClaimLost:
            return LOST
        except Exception as error:  # noqa: BLE001 - deferred constraints and triggers are anybody's
            return await self._failed(self._connection, error)
        finally:
            self.is_deciding = False
            with self._using:
                connection, self._connection = self._connection, None
            await self._completions.give_back(connection, usable=usable and not self._is_cut)

    async def _begin(self, connection: AsyncConnection[Any]) -> None:
        try:
            self._transaction = connection.transaction()
            await self._transaction.__aenter__()
            with suppress(InvalidParameterValue):  # not every system can look
                await _look(connection)
        except BaseException:
            await connection.close()  # nothing is to be written there outside of a transaction
            raise

    async def _commit(self, connection: AsyncConnection[Any], outcome: Outcome) -> None:
        if _is_idle(connection):
            raise PermanentError(
                "the handler ended the transaction of step.connection() by itself: leave that to "
                "the runner, what was committed is committed without the step"
            )
        claim = self._attempt.claim
        complete = surface.complete_step(
            claim.workflow_step_id, claim.claim_id, outcome.members["results"]
        )
        with translated():
            try:
                async with connection.pipeline():
                    await surface.execute_async(connection, self._completions.schema, complete)
                    await self._transaction.__aexit__(None, None, None)
            except PipelineAborted as error:  # because of what was sent before
                if isinstance(error.__context__, psycopg.Error):
                    raise error.__context__ from None
                raise
        if not _is_idle(connection):
            raise psycopg.OperationalError("the connection is lost")

    async def _failed(self, connection: AsyncConnection[Any], error: Exception) -> Outcome:
        """What came of a commit that was refused, or whose answer was lost."""
        if connection.closed:
            try:
                await self._ask(None, None)  # waits for a commit that is still under way
            except ClaimLost as lost:
                self._attempt.logger.info(
                    "commit unanswered", error=one_line(error), step_state=lost.step_state
                )
                return COMMITTED if lost.step_state == "complete" else LOST
        return refused(error) if is_refusal(error) else failed(error)


async def _look(connection: AsyncConnection[Any]) -> None:
    async with connection.transaction():
        await connection.execute(LOOK)


def _is_idle(connection: AsyncConnection[Any]) -> bool:
    return connection.info.transaction_status == TransactionStatus.IDLE
