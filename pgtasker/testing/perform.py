"""Performing what a drive asks for: calls on a connection, and attempts.

Responsible for whose connection and transaction that is, and for where handlers run: plain
functions in the thread of the test, coroutine functions on an event loop. What is asked for, and
when, is left to `drive`.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from typing import Any, TypeVar, overload

from psycopg import AsyncConnection, Connection
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from pgtasker import surface
from pgtasker.async_client import AsyncClient
from pgtasker.client import Client
from pgtasker.clients.access import Joined
from pgtasker.clients.async_access import AsyncJoined
from pgtasker.codec import Codec
from pgtasker.errors import ConfigurationError, PermanentError
from pgtasker.testing.async_completions import AsyncCompletion
from pgtasker.testing.attempts import execute, execute_async
from pgtasker.testing.completions import Completion
from pgtasker.testing.drive import Attempt, Ending, Script

__tracebackhide__ = True  # pytest shows what the test and the handler did

T = TypeVar("T")

Database = Client | Connection[Any] | str | None
AsyncDatabase = AsyncClient | AsyncConnection[Any]


@overload
def perform(database: Database, schema: str | None, script: Script[T]) -> T: ...


@overload
def perform(
    database: AsyncDatabase, schema: str | None, script: Script[T]
) -> Coroutine[Any, Any, T]: ...


@overload
def perform(
    database: Database | AsyncDatabase, schema: str | None, script: Script[T]
) -> T | Coroutine[Any, Any, T]: ...


def perform(
    database: Database | AsyncDatabase, schema: str | None, script: Script[T]
) -> T | Coroutine[Any, Any, T]:
    """Perform a script on a connection of this database, or give the coroutine that does."""
    if isinstance(database, AsyncClient | AsyncConnection):
        return _perform_async(database, schema, script)
    return _perform(database, schema, script)


def _perform(database: Database, schema: str | None, script: Script[T]) -> T:
    with ExitStack() as stack:
        if not isinstance(database, Client):
            database = stack.enter_context(Client(database, schema=schema))
        connection = stack.enter_context(database._connected())
        joined = isinstance(database._access, Joined)
        here = _Here(connection, database._schema, joined, stack)
        answer, error = None, None
        while True:
            try:
                request = script.send(answer) if error is None else script.throw(error)
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                answer, error = here.perform(request), None
            except BaseException as raised:  # noqa: BLE001 - the script cleans up, then raises it
                error = raised


async def _perform_async(database: AsyncDatabase, schema: str | None, script: Script[T]) -> T:
    async with AsyncExitStack() as stack:
        if not isinstance(database, AsyncClient):
            database = await stack.enter_async_context(AsyncClient(database, schema=schema))
        connection = await stack.enter_async_context(database._connected())
        joined = isinstance(database._access, AsyncJoined)
        there = _OnLoop(connection, database._schema, joined)
        answer, error = None, None
        while True:
            try:
                request = script.send(answer) if error is None else script.throw(error)
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                answer, error = await there.perform(request), None
            except BaseException as raised:  # noqa: BLE001 - as above
                error = raised


class _Here:
    """Performs calls on a connection, and attempts in this thread."""

    def __init__(
        self, connection: Connection[Any], schema: str, joined: bool, stack: ExitStack
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._joined = joined
        self._stack = stack
        self._runner: asyncio.Runner | None = None

    def perform(self, request: surface.Call[Any] | Attempt) -> Any:
        if not isinstance(request, Attempt):
            return self._send(request)
        schema, claim = self._schema, request.claim
        if request.step.is_async:
            awaited = AsyncCompletion(self._further, schema, claim, own=True)
            ending = self._await(execute_async(request, self._send_async, awaited))
        else:
            completion = Completion(lambda: self._connection, schema, claim, own=False)
            ending = execute(request, self._send, completion)
        _require_usable(self._connection, request, ending)
        return ending

    def _send(self, call: surface.Call[T]) -> T:
        if not _needs_block(self._connection, self._joined):
            return surface.execute(self._connection, self._schema, call)
        with self._connection.transaction():
            return surface.execute(self._connection, self._schema, call)

    async def _send_async(self, call: surface.Call[T]) -> T:
        return self._send(call)

    async def _further(self) -> AsyncConnection[Any]:
        """A connection for a coroutine function, which that of the test is not for."""
        further: AsyncConnection[Any] = await AsyncConnection.connect(
            **_further_to(self._connection)
        )
        clock = surface.set_session_clock(self._send(surface.session_clock()))
        await surface.execute_async(further, self._schema, clock)
        return further

    def _await(self, coroutine: Coroutine[Any, Any, Ending]) -> Ending:
        """Run a coroutine on a loop of our own: in another thread if one is running in this."""
        context = contextvars.copy_context()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            if self._runner is None:
                runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
                self._runner = self._stack.enter_context(runner)
            return self._runner.run(coroutine, context=context)
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(context.run, asyncio.run, coroutine).result()


class _OnLoop:
    """Performs calls on an asynchronous connection, and attempts on its loop or in a thread."""

    def __init__(self, connection: AsyncConnection[Any], schema: str, joined: bool) -> None:
        self._connection = connection
        self._schema = schema
        self._joined = joined

    async def perform(self, request: surface.Call[Any] | Attempt) -> Any:
        if not isinstance(request, Attempt):
            return await self._send(request)
        schema, claim = self._schema, request.claim
        if request.step.is_async:
            awaited = AsyncCompletion(self._given, schema, claim, own=False)
            ending = await execute_async(request, self._send, awaited)
        else:
            loop = asyncio.get_running_loop()

            def send(call: surface.Call[Any]) -> Any:
                return asyncio.run_coroutine_threadsafe(self._send(call), loop).result()

            def further() -> Connection[Any]:
                """A connection for a plain function, which that of the test is not for."""
                connection: Connection[Any] = Connection.connect(**_further_to(self._connection))
                clock = surface.set_session_clock(send(surface.session_clock()))
                surface.execute(connection, schema, clock)
                return connection

            completion = Completion(further, schema, claim, own=True)
            ending = await asyncio.to_thread(execute, request, send, completion)
        _require_usable(self._connection, request, ending)
        return ending

    async def _given(self) -> AsyncConnection[Any]:
        return self._connection

    async def _send(self, call: surface.Call[T]) -> T:
        if not _needs_block(self._connection, self._joined):
            return await surface.execute_async(self._connection, self._schema, call)
        async with self._connection.transaction():
            return await surface.execute_async(self._connection, self._schema, call)


def codec_of(database: Database | AsyncDatabase) -> Codec | None:
    """The codec of a client; other ways to the database have none."""
    return database._codec if isinstance(database, Client | AsyncClient) else None


def _further_to(connection: Connection[Any] | AsyncConnection[Any]) -> dict[str, Any]:
    """How to open another connection to the same database, which sees what is committed only."""
    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise PermanentError(
            "step.connection() of a plain function needs a Connection in this test, that of a "
            "coroutine function an AsyncConnection: another one cannot see what is not committed"
        )
    dsn = make_conninfo(connection.info.dsn, password=connection.info.password or None)
    return {"conninfo": dsn, "autocommit": True, "prepare_threshold": None}


def _needs_block(connection: Connection[Any] | AsyncConnection[Any], joined: bool) -> bool:
    """Whether a call needs a savepoint, so that a refusal does not abort the transaction of the
    caller, or a transaction that is committed, because it is nobody's."""
    if connection.info.transaction_status == TransactionStatus.INTRANS:
        return True
    return not (joined or connection.autocommit)


def _require_usable(
    connection: Connection[Any] | AsyncConnection[Any], attempt: Attempt, ending: Ending
) -> None:
    if connection.info.transaction_status == TransactionStatus.INERROR:
        raise ConfigurationError(
            f"step {attempt.step.name!r} left the transaction of the test aborted: "
            "let its handler use a savepoint, with connection.transaction()"
        ) from ending.error
