"""The attempts under way: from the claim until the handler returns, even if it no longer counts.

Responsible for running handlers (coroutines on the loop, functions in threads), for timeouts, and
for counting slots. An attempt is settled once: by its handler, by its timeout, or by the loss of
its claim. What the handler does after that is ignored, but it keeps its slot until it returns: a
thread cannot be stopped, and a coroutine may clean up. Sending reports is left to the runner.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from pgtasker.rows import ClaimedStep, Json
from pgtasker.runner.handlers import Handlers, arguments, missing
from pgtasker.runner.outcomes import Outcome, completed, failed, released, timed_out
from pgtasker.runner.reports import Reports
from pgtasker.runner.step import AsyncStep, Step, facts
from pgtasker.workflow import WorkflowStep

UNKNOWN_HANDLER_DELAY = 10.0  # seconds until a step that this runner cannot execute is tried again

Extend = Callable[[ClaimedStep, float | None, Json], Awaitable[None]]


@dataclass(slots=True)
class _Attempt:
    claim: ClaimedStep
    future: asyncio.Future[Outcome]
    timer: asyncio.TimerHandle | None = None


class Executions:
    """The attempts of one runner.

    Outcomes go to `reports`; `extend` asks the database for more time; `tell` is called after
    whatever the runner may want to act on.
    """

    def __init__(
        self,
        handlers: Handlers,
        reports: Reports,
        extend: Extend,
        tell: Callable[[], None],
        log: Any,
    ) -> None:
        self._handlers = handlers
        self._reports = reports
        self._extend = extend
        self._tell = tell
        self._log = log
        self._open: dict[int, _Attempt] = {}
        self._occupied: set[asyncio.Future[Outcome]] = set()

    @property
    def occupied(self) -> int:
        """Slots in use, also by handlers whose outcome no longer counts."""
        return len(self._occupied)

    @property
    def claims(self) -> list[int]:
        """The claims whose outcome is still open."""
        return list(self._open)

    def begin(self, claim: ClaimedStep) -> None:
        """Execute a claimed step, or hand it back if this runner does not know how."""
        step = self._handlers.find(claim)
        if step is None:
            self._hand_back(claim, "this runner knows no handler for it")
        elif absent := missing(step, claim):
            self._hand_back(claim, f"its task has no step {absent[0]!r} before it")
        else:
            self._start(claim, step)

    def settle(self, claim_id: int, outcome: Outcome | None) -> None:
        """Decide an attempt that is still open, and stop its handler as far as that is possible.

        No outcome: the claim is lost, and there is nothing to report.
        """
        attempt = self._open.pop(claim_id, None)
        if attempt is None:
            return
        if attempt.timer is not None:
            attempt.timer.cancel()
        if isinstance(attempt.future, asyncio.Task):
            attempt.future.cancel()
        if outcome is None:
            self._logger(attempt.claim).info("claim lost", consequence="the result is discarded")
        else:
            if outcome.outcome == "fail":
                self._logger(attempt.claim).warning("step failed", error=outcome.summary)
            self._reports.add(attempt.claim, outcome)
        self._tell()

    def _hand_back(self, claim: ClaimedStep, why: str) -> None:
        self._logger(claim).warning("step released", why=why, retry_in=UNKNOWN_HANDLER_DELAY)
        self._reports.add(claim, released(UNKNOWN_HANDLER_DELAY))
        self._tell()

    def _start(self, claim: ClaimedStep, step: WorkflowStep) -> None:
        loop = asyncio.get_running_loop()
        given = arguments(step, claim, self._shown(claim, step))
        future: asyncio.Future[Outcome]
        if step.is_async:
            future = loop.create_task(_on_loop(step.function, given), name=step.name)
        else:
            future = loop.create_future()
            # A thread of its own, and a daemon: a pool would wait at exit for one that hangs.
            thread = threading.Thread(
                target=contextvars.copy_context().run,
                args=(_in_thread, loop, future, step.function, given),
                name=step.name,
                daemon=True,
            )
            try:
                thread.start()
            except RuntimeError as error:
                self._hand_back(claim, str(error))
                return
        self._open[claim.claim_id] = _Attempt(claim, future)
        self._occupied.add(future)
        future.add_done_callback(partial(self._returned, claim.claim_id))
        if claim.timeout is not None:
            self._time_out_in(claim.claim_id, claim.timeout)

    def _time_out_in(self, claim_id: int, seconds: float) -> None:
        attempt = self._open.get(claim_id)
        if attempt is None:
            return
        if attempt.timer is not None:
            attempt.timer.cancel()
        loop = asyncio.get_running_loop()
        attempt.timer = loop.call_later(seconds, self.settle, claim_id, timed_out(seconds))

    def _returned(self, claim_id: int, future: asyncio.Future[Outcome]) -> None:
        self._occupied.discard(future)
        if claim_id in self._open:
            self.settle(claim_id, None if future.cancelled() else future.result())
        self._tell()

    def _shown(self, claim: ClaimedStep, step: WorkflowStep) -> Step | AsyncStep | None:
        """The `step` for the handler, if it takes one."""
        if "step" not in step.parameters:
            return None
        loop = asyncio.get_running_loop()

        async def extend(timeout: float | None, progress: Json) -> None:
            await self._extend(claim, timeout, progress)
            if timeout is not None:
                self._time_out_in(claim.claim_id, timeout)

        def extend_from_thread(timeout: float | None, progress: Json) -> None:
            asyncio.run_coroutine_threadsafe(extend(timeout, progress), loop).result()

        logger = self._logger(claim)
        if step.is_async:
            return AsyncStep(**facts(claim), logger=logger, _extend=extend)
        return Step(**facts(claim), logger=logger, _extend=extend_from_thread)

    def _logger(self, claim: ClaimedStep) -> Any:
        return self._log.bind(
            task_id=claim.task_id,
            workflow_step_id=claim.workflow_step_id,
            step=claim.step_name,
            attempt=claim.attempt,
        )


async def _on_loop(function: Callable[..., Any], arguments: dict[str, Any]) -> Outcome:
    try:
        return completed(await function(**arguments))
    except BaseException as error:  # noqa: BLE001 - even SystemExit ends the attempt, not the runner
        return failed(error)


def _in_thread(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[Outcome],
    function: Callable[..., Any],
    arguments: dict[str, Any],
) -> None:
    try:
        outcome = completed(function(**arguments))
    except BaseException as error:  # noqa: BLE001 - as above
        outcome = failed(error)
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(_resolve, future, outcome)


def _resolve(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
