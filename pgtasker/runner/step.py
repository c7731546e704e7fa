"""The `step` that a handler may ask for: the attempt it is.

Responsible for what a handler can know of its attempt and for passing on what it says about it. How
the database is reached is left to the runner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection, Connection

from pgtasker.errors import ClaimLost, PermanentError
from pgtasker.rows import ClaimedStep, Json


def _never() -> bool:
    return False


def _not_here() -> Any:
    raise PermanentError(
        "this handler has no connection to complete on: a worker process speaks to its runner "
        "alone, choose the executor thread"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One attempt of one step; `attempt` counts from 1 to at most `retry_limit`.

    `inputs` are the constants of the step's definition; `logger` bears the ids on every line.
    """

    workflow_step_id: int
    task_id: int
    claim_id: int
    namespace: str
    workflow: str
    version: str
    name: str
    attempt: int
    retry_limit: int
    inputs: Json
    tags: tuple[str, ...]
    logger: Any
    _extend: Callable[[float | None, Json], Any] = field(repr=False)
    _is_cancelled: Callable[[], bool] = field(repr=False, default=_never)
    _connection: Callable[[], Any] = field(repr=False, default=_not_here)

    @property
    def cancelled(self) -> bool:
        """Whether this attempt no longer counts: cancelled, timed out, or given up on by a runner
        that stops. Its result will be discarded: a long handler in a thread looks now and then.
        """
        return self._is_cancelled()


class Step(_Attempt):
    """The `step` of a handler that is a plain function, in a thread or in a process of its own."""

    __slots__ = ()

    def extend(self, *, timeout: float | None = None, progress: Json = None) -> None:
        """Give this attempt `timeout` seconds from now, record its progress (any JSON), or both.

        Raises ClaimLost if the attempt no longer counts: then stop, the result is discarded.
        """
        self._extend(timeout, progress)

    def progress(self, value: Json) -> None:
        """Record how far this attempt is (any JSON), for whoever looks; raises ClaimLost."""
        self._extend(None, value)

    def heartbeat(self) -> None:
        """Ask the database whether this attempt still counts; raises ClaimLost if not.

        Nothing expires without it: the runner renews its lease for all that it executes.
        """
        self._extend(None, None)

    def connection(self) -> Connection[Any]:
        """The connection on which this step completes, in a transaction that the first call begins.

        When the handler returns, the completion joins what was written there, and both are
        committed at once; when it raises, or its claim is lost, neither is. `commit()` and
        `rollback()` are refused there, savepoints are made with `connection.transaction()`; what
        is set for the session does not outlast the handler.

        Waits while as many handlers have such a connection as the runner gives
        (`Runner(transactions=10)`), and while the database is away. Raises ClaimLost if the attempt
        no longer counts, PermanentError in a worker process, which has no connection.
        """
        return self._connection()  # type: ignore[no-any-return]


class AsyncStep(_Attempt):
    """The `step` of a handler that is a coroutine function and runs on the event loop."""

    __slots__ = ()

    async def extend(self, *, timeout: float | None = None, progress: Json = None) -> None:
        """Give this attempt `timeout` seconds from now, record its progress (any JSON), or both.

        Raises ClaimLost if the attempt no longer counts: then stop, the result is discarded.
        """
        await self._extend(timeout, progress)

    async def progress(self, value: Json) -> None:
        """Record how far this attempt is (any JSON), for whoever looks; raises ClaimLost."""
        await self._extend(None, value)

    async def heartbeat(self) -> None:
        """Ask the database whether this attempt still counts; raises ClaimLost if not.

        Nothing expires without it: the runner renews its lease for all that it executes.
        """
        await self._extend(None, None)

    async def connection(self) -> AsyncConnection[Any]:
        """The connection on which this step completes, in a transaction that the first call begins.

        When the handler returns, the completion joins what was written there, and both are
        committed at once; when it raises, or its claim is lost, neither is. `commit()` and
        `rollback()` are refused there, savepoints are made with `connection.transaction()`; what
        is set for the session does not outlast the handler.

        Waits while as many handlers have such a connection as the runner gives
        (`Runner(transactions=10)`), and while the database is away. Raises ClaimLost if the attempt
        no longer counts.
        """
        return await self._connection()  # type: ignore[no-any-return]


def no_longer_counts() -> ClaimLost:
    """What a handler is told whose attempt has been decided here already."""
    return ClaimLost("the attempt no longer counts: stop, its result is discarded")


def facts(claim: ClaimedStep) -> dict[str, Any]:
    """The fields of a claim that a `step` shows as they are."""
    return {
        "workflow_step_id": claim.workflow_step_id,
        "task_id": claim.task_id,
        "claim_id": claim.claim_id,
        "namespace": claim.namespace,
        "workflow": claim.workflow_name,
        "version": claim.version,
        "name": claim.step_name,
        "attempt": claim.attempt,
        "retry_limit": claim.retry_limit,
        "inputs": claim.inputs,
        "tags": tuple(claim.tags or ()),
    }


def ids(claim: ClaimedStep) -> dict[str, Any]:
    """The fields of a claim that its log lines bear."""
    return {
        "task_id": claim.task_id,
        "workflow_step_id": claim.workflow_step_id,
        "step": claim.step_name,
        "attempt": claim.attempt,
    }
