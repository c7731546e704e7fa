"""One attempt of one step, as those who execute it see it.

Responsible for calling the handler: with what it asks for, and with its result or exception made an
outcome. Where it is called is left to the executors, what becomes of the outcome to `execution`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from pgtasker.errors import PayloadError
from pgtasker.rows import ClaimedStep, Json
from pgtasker.runner.async_transactions import AsyncCompletion
from pgtasker.runner.handlers import arguments
from pgtasker.runner.outcomes import Outcome, completed, failed
from pgtasker.runner.pools import Pools
from pgtasker.runner.step import AsyncStep, Step, facts, ids
from pgtasker.runner.transactions import Completion
from pgtasker.workflow import WorkflowStep


class Keeper(Protocol):
    """Who keeps the claims of attempts."""

    async def begun(self, attempt: Attempt) -> None:
        """The handler is about to begin."""

    async def extend(self, attempt: Attempt, timeout: float | None, progress: Json) -> None:
        """Give it more time, or record its progress, or both; raises ClaimLost."""


class Attempt:
    """One attempt under way.

    `cancelled` is set once its outcome no longer counts; `ids` are what each of its log lines bears
    (`logger` does so by itself). `seal` makes an outcome what the database is to get.
    """

    __slots__ = (
        "_completion",
        "_keeper",
        "_log",
        "_loop",
        "_pools",
        "cancelled",
        "claim",
        "ids",
        "seal",
        "step",
    )

    def __init__(
        self,
        claim: ClaimedStep,
        step: WorkflowStep,
        *,
        log: Any,
        runner: str,
        keeper: Keeper,
        loop: asyncio.AbstractEventLoop,
        pools: Pools | None = None,
    ) -> None:
        self.claim = claim
        self.step = step
        self.ids = {"runner": runner, **ids(claim)}
        self.cancelled = False
        self.seal: Callable[[Outcome], Outcome] = _as_it_is
        self._completion: AsyncCompletion | Completion | None = None
        self._pools = pools
        self._log = log
        self._keeper = keeper
        self._loop = loop

    @property
    def logger(self) -> Any:
        """A logger for this attempt; made when it is asked for, most attempts say nothing."""
        return self._log.bind(**ids(self.claim))

    @property
    def is_deciding(self) -> bool:
        """Whether its completion is being committed: how it ends, only the database knows."""
        return self._completion is not None and self._completion.is_deciding

    def cut(self) -> None:
        """Undo what it wrote on the connection of its completion, and let go of its locks."""
        if self._completion is not None:
            self._completion.cut()

    async def begin(self) -> None:
        """To be awaited right before the handler begins: the clock of its timeout starts here.

        Raises ClaimLost if it must not begin.
        """
        await self._keeper.begun(self)

    async def extend(self, timeout: float | None, progress: Json) -> None:
        """Give this attempt `timeout` seconds from now, record its progress, or both.

        Raises ClaimLost if the attempt no longer counts.
        """
        await self._keeper.extend(self, timeout, progress)

    async def call_async(self) -> Outcome:
        """Await the handler, a coroutine function; raises nothing."""
        outcome = await self._called()
        if isinstance(self._completion, AsyncCompletion):
            return await self._completion.end(self.seal(outcome))
        return outcome

    async def _called(self) -> Outcome:
        given = _given(self.step, self.claim, self._running)
        if isinstance(given, Outcome):
            return given
        try:
            result = await self.step.function(**given)
        except BaseException as error:  # noqa: BLE001 - even SystemExit ends the attempt alone
            return failed(error)
        return _ended(self.step, result)

    def call(self) -> Outcome:
        """Call the handler, a plain function, in any thread but that of the event loop; raises
        nothing.
        """
        outcome = call(self.step, self.claim, self._running_in_thread)
        if isinstance(self._completion, Completion):
            return self._completion.end(self.seal(outcome))
        return outcome

    def _running(self) -> AsyncStep:
        more: dict[str, Any] = {}
        if self._pools is not None:
            completion = AsyncCompletion(self, self._pools.for_coroutines, self.extend)
            self._completion, more["_connection"] = completion, completion.connection
        return AsyncStep(
            **facts(self.claim),
            logger=self.logger,
            _extend=self.extend,
            _is_cancelled=self._is_cancelled,
            **more,
        )

    def _running_in_thread(self) -> Step:
        more: dict[str, Any] = {}
        if self._pools is not None:
            completion = Completion(self, self._pools.for_threads, self._extend_from_thread)
            self._completion, more["_connection"] = completion, completion.connection
        return Step(
            **facts(self.claim),
            logger=self.logger,
            _extend=self._extend_from_thread,
            _is_cancelled=self._is_cancelled,
            **more,
        )

    def _is_cancelled(self) -> bool:
        return self.cancelled

    def _extend_from_thread(self, timeout: float | None, progress: Json) -> None:
        extension = self.extend(timeout, progress)
        asyncio.run_coroutine_threadsafe(extension, self._loop).result()


def call(step: WorkflowStep, claim: ClaimedStep, running: Callable[[], Step]) -> Outcome:
    """Call a handler that is a plain function, here and now; raises nothing.

    `running` makes the `step` for it, if it asks for that.
    """
    given = _given(step, claim, running)
    if isinstance(given, Outcome):
        return given
    try:
        result = step.function(**given)
    except BaseException as error:  # noqa: BLE001 - as above
        return failed(error)
    return _ended(step, result)


def _as_it_is(outcome: Outcome) -> Outcome:
    return outcome


def _given(
    step: WorkflowStep, claim: ClaimedStep, running: Callable[[], object]
) -> dict[str, Any] | Outcome:
    try:
        return arguments(step, claim, running() if "step" in step.parameters else None)
    except PayloadError as error:  # another attempt would be given the same
        return failed(error, retryable=False)
    except Exception as error:  # noqa: BLE001 - the types that a handler asks for are anybody's
        return failed(error)


def _ended(step: WorkflowStep, result: object) -> Outcome:
    try:
        return completed(step.dumped(result))
    except PayloadError as error:
        return failed(error, retryable=False)
    except Exception as error:  # noqa: BLE001 - as above
        return failed(error)
