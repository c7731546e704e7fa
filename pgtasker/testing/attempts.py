"""One attempt, executed in the process of the test.

Responsible for what a handler receives and for what becomes of its result or exception, as a runner
does it. A plain function is called right here and cannot be interrupted; the timeout of a step ends
coroutines only. Reaching the database is left to whoever is given as `send`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from structlog.contextvars import bound_contextvars

from pgtasker import surface
from pgtasker.errors import ClaimLost, PayloadError
from pgtasker.rows import ClaimedStep, Json
from pgtasker.runner.encoding import readable, sealed
from pgtasker.runner.handlers import arguments
from pgtasker.runner.outcomes import completed, failed, timed_out
from pgtasker.runner.step import AsyncStep, Step, facts, ids
from pgtasker.service.logs import logger
from pgtasker.testing.async_completions import AsyncCompletion
from pgtasker.testing.completions import Completion
from pgtasker.testing.drive import Attempt, Ending

__tracebackhide__ = True  # pytest shows what the test and the handler did

Send = Callable[[surface.Call[Any]], Any]
SendAsync = Callable[[surface.Call[Any]], Awaitable[Any]]

# What ends an attempt; anything else (Ctrl-C, pytest.fail) ends the test.
Failures = (Exception, SystemExit)


def execute(attempt: Attempt, send: Send, completion: Completion) -> Ending:
    """Call a handler that is a plain function; it may ask for the connection of `completion`."""
    ending = _called(attempt, send, completion)
    return replace(ending, outcome=completion.end(ending.outcome))


def _called(attempt: Attempt, send: Send, completion: Completion) -> Ending:
    claim, step = attempt.claim, attempt.step

    def extend(timeout: float | None, progress: Json) -> None:
        send(_extension(claim, timeout, progress))

    def is_cancelled() -> bool:
        try:
            extend(None, None)
        except ClaimLost:
            return True
        return False

    logger = _logger(claim)
    running = Step(
        **facts(claim),
        logger=logger,
        _extend=extend,
        _is_cancelled=is_cancelled,
        _connection=completion.connection,
    )
    given = _given(attempt, running)
    if isinstance(given, Ending):
        return given
    try:
        with bound_contextvars(**ids(claim)):
            result = step.function(**given)
    except Failures as error:
        return _failure(claim, error)
    return _returned(attempt, result)


async def execute_async(attempt: Attempt, send: SendAsync, completion: AsyncCompletion) -> Ending:
    """Await a handler that is a coroutine function, as long as the timeout of the step allows; it
    may ask for the connection of `completion`.
    """
    ending = await _awaited(attempt, send, completion)
    return replace(ending, outcome=await completion.end(ending.outcome))


async def _awaited(attempt: Attempt, send: SendAsync, completion: AsyncCompletion) -> Ending:
    claim, step = attempt.claim, attempt.step
    deadline = asyncio.timeout(claim.timeout)

    async def extend(timeout: float | None, progress: Json) -> None:
        await send(_extension(claim, timeout, progress))
        if timeout is not None:
            deadline.reschedule(asyncio.get_running_loop().time() + timeout)

    running = AsyncStep(
        **facts(claim), logger=_logger(claim), _extend=extend, _connection=completion.connection
    )
    given = _given(attempt, running)
    if isinstance(given, Ending):
        return given
    try:
        with bound_contextvars(**ids(claim)):
            async with deadline:
                result = await step.function(**given)
    except Failures as error:
        if deadline.expired() and claim.timeout is not None:
            return Ending(timed_out(claim.timeout), error)
        return _failure(claim, error)
    return _returned(attempt, result)


def _given(attempt: Attempt, running: object) -> dict[str, Any] | Ending:
    try:
        return arguments(attempt.step, readable(attempt.codec, attempt.claim), running)
    except Exception as error:  # noqa: BLE001 - the types that a handler asks for are anybody's
        return _failure(attempt.claim, error, retryable=not isinstance(error, PayloadError))


def _returned(attempt: Attempt, result: object) -> Ending:
    try:
        return Ending(sealed(attempt.codec, completed(attempt.step.dumped(result))))
    except Exception as error:  # noqa: BLE001 - as above
        return _failure(attempt.claim, error, retryable=not isinstance(error, PayloadError))


def _failure(claim: ClaimedStep, error: BaseException, *, retryable: bool = True) -> Ending:
    outcome = failed(error, retryable=retryable)
    _logger(claim).warning("step failed", error=outcome.summary)
    return Ending(outcome, error)


def _extension(claim: ClaimedStep, timeout: float | None, progress: Json) -> surface.Call[None]:
    time = None if timeout is None else timedelta(seconds=timeout)
    return surface.extend_step(claim.workflow_step_id, claim.claim_id, time, progress)


def _logger(claim: ClaimedStep) -> Any:
    return logger("pgtasker").bind(**ids(claim))
