"""Running tasks to their end in the process of the test: `run_workflow`, `run_task`, `run_all`.

Responsible for whose connection is used, and for where handlers run: plain functions in the thread
of the test, coroutine functions on an event loop. Given something asynchronous to reach the
database with, each of the three is to be awaited. What is asked of the database, and when, is left
to `drive`.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from typing import Any, TypeVar, overload

from psycopg import AsyncConnection, Connection
from psycopg.pq import TransactionStatus

from pgtasker import surface
from pgtasker.access import Joined
from pgtasker.async_access import AsyncJoined
from pgtasker.async_client import AsyncClient
from pgtasker.client import Client
from pgtasker.errors import ConfigurationError
from pgtasker.rows import Json, Task
from pgtasker.testing.attempts import execute, execute_async
from pgtasker.testing.drive import Attempt, Drive, Ending, Script
from pgtasker.workflow import Workflow

__tracebackhide__ = True  # pytest shows what the test and the handler did

T = TypeVar("T")

Database = Client | Connection[Any] | str | None
AsyncDatabase = AsyncClient | AsyncConnection[Any]


@overload
def run_workflow(
    database: Database,
    workflow: Workflow,
    context: Json = ...,
    *,
    schema: str | None = ...,
    raise_errors: bool = ...,
) -> Task: ...


@overload
def run_workflow(
    database: AsyncDatabase,
    workflow: Workflow,
    context: Json = ...,
    *,
    schema: str | None = ...,
    raise_errors: bool = ...,
) -> Coroutine[Any, Any, Task]: ...


def run_workflow(
    database: Database | AsyncDatabase,
    workflow: Workflow,
    context: Json = None,
    *,
    schema: str | None = None,
    raise_errors: bool = False,
) -> Task | Coroutine[Any, Any, Task]:
    """Register a workflow, start a task of it and run that to its end.

    The same as `run_task` otherwise; what `Client.start` takes beside the context needs that.

        >>> task = run_workflow(client, fulfil, {"order": 42})
        >>> task.state, task.results
        ('complete', {'ship': 'order 42 is on its way'})
    """
    script = Drive([workflow]).workflow(workflow, context, raise_errors)
    return perform(database, schema, script)


@overload
def run_task(
    database: Database,
    task_id: int,
    *workflows: Workflow,
    schema: str | None = ...,
    raise_errors: bool = ...,
) -> Task: ...


@overload
def run_task(
    database: AsyncDatabase,
    task_id: int,
    *workflows: Workflow,
    schema: str | None = ...,
    raise_errors: bool = ...,
) -> Coroutine[Any, Any, Task]: ...


def run_task(
    database: Database | AsyncDatabase,
    task_id: int,
    *workflows: Workflow,
    schema: str | None = None,
    raise_errors: bool = False,
) -> Task | Coroutine[Any, Any, Task]:
    """Run a task to its end here and now, with the handlers of these workflows; answers the task.

    `database` is a client, a psycopg connection (then everything joins the transaction of the
    caller, and nothing is committed here) or a DSN. Steps are executed one after the other; a
    retry, a delay or a `run_at` is not waited for: the clock of the session is moved there, and put
    back in the end. An install for tests obeys, see `install`; any other serves as long as nothing
    has to be waited for.

    What handlers raise is kept as a runner keeps it, and the task that comes back is in `error` in
    the end; with `raise_errors` the exception that failed it is raised here. Raises TaskStuck if
    the task waits for what cannot happen by itself: somebody paused it or its queue, another runner
    has a step of it, or no workflow given knows how to execute one.

    Given an AsyncClient or an AsyncConnection, the call is to be awaited; plain functions are then
    called in a thread, as by a runner.

        >>> task_id = client.start(fulfil, {"order": 42}, tags=["vip"])
        >>> run_task(client, task_id, fulfil).state
        'complete'
    """
    return perform(database, schema, Drive(workflows).task(task_id, raise_errors))


@overload
def run_all(database: Database, *workflows: Workflow, schema: str | None = ...) -> list[Task]: ...


@overload
def run_all(
    database: AsyncDatabase, *workflows: Workflow, schema: str | None = ...
) -> Coroutine[Any, Any, list[Task]]: ...


def run_all(
    database: Database | AsyncDatabase, *workflows: Workflow, schema: str | None = None
) -> list[Task] | Coroutine[Any, Any, list[Task]]:
    """Run every open task of these workflows as far as it goes by itself, as `run_task` does.

    Tasks that handlers start are run too. Answers the tasks, those started first coming first; one
    that is paused or otherwise held up is among them, as it is then.

        >>> client.start_many(fulfil, [{"order": 1}, {"order": 2}])
        [1, 2]
        >>> [task.state for task in run_all(client, fulfil)]
        ['complete', 'complete']
    """
    return perform(database, schema, Drive(workflows).everything())


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
        if request.step.is_async:
            ending = self._await(execute_async(request, self._send_async))
        else:
            ending = execute(request, self._send)
        _require_usable(self._connection, request, ending)
        return ending

    def _send(self, call: surface.Call[T]) -> T:
        if not _needs_block(self._connection, self._joined):
            return surface.execute(self._connection, self._schema, call)
        with self._connection.transaction():
            return surface.execute(self._connection, self._schema, call)

    async def _send_async(self, call: surface.Call[T]) -> T:
        return self._send(call)

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
        if request.step.is_async:
            ending = await execute_async(request, self._send)
        else:
            loop = asyncio.get_running_loop()

            def send(call: surface.Call[Any]) -> Any:
                return asyncio.run_coroutine_threadsafe(self._send(call), loop).result()

            ending = await asyncio.to_thread(execute, request, send)
        _require_usable(self._connection, request, ending)
        return ending

    async def _send(self, call: surface.Call[T]) -> T:
        if not _needs_block(self._connection, self._joined):
            return await surface.execute_async(self._connection, self._schema, call)
        async with self._connection.transaction():
            return await surface.execute_async(self._connection, self._schema, call)


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
