"""The attempts under way: from the claim until the handler returns, even if it no longer counts.

Responsible for when an attempt begins, for timeouts, and for counting slots. An attempt is settled
once: by its handler, by its timeout, or by the loss of its claim. What the handler does after that
is ignored, but it keeps its slot until it has ended: a thread cannot be stopped, and a coroutine
may clean up. Where handlers run is left to the executors, sending reports to the runner.

A step that is claimed while every slot is in use waits for one (`ahead`), but not for long.

A claimed step that finds no place (of its own limit, or of its executor) is held: it occupies a
slot, keeps its claim and waits for its turn. Its timeout does not run meanwhile. The database has
to be told that, when the waiting begins and when it ends; as long as it cannot be told, the handler
does not begin.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pgtasker.errors import ClaimLost, one_line
from pgtasker.rows import ClaimedStep, Json
from pgtasker.runner import context
from pgtasker.runner.ahead import Ahead
from pgtasker.runner.attempt import Attempt
from pgtasker.runner.executors import Executor
from pgtasker.runner.handlers import Handlers, missing
from pgtasker.runner.outcomes import COMMITTED, LOST, Outcome, released, timed_out
from pgtasker.runner.pools import Pools
from pgtasker.runner.reports import Reports
from pgtasker.runner.returns import Returns
from pgtasker.runner.step import ids, no_longer_counts
from pgtasker.runner.turns import Turns
from pgtasker.workflow import WorkflowStep

HELD = 365 * 86400.0  # seconds that the database gives an attempt that waits for its turn
LOST_GRACE = 5.0  # seconds for a handler that was told by ClaimLost to end by itself
MOST_SLOTS = 10_000  # handlers at once
LATE = 0.5  # seconds after the claim from which a beginning is told to the database

Extend = Callable[[Attempt, float | None, Json], Awaitable[None]]


class _Execution:
    """An attempt, the task that conducts it, and its turn if it has to wait for one."""

    __slots__ = ("attempt", "claimed_at", "has_place", "task", "timer", "turn")

    def __init__(self, attempt: Attempt, claimed_at: float) -> None:
        self.attempt = attempt
        self.claimed_at = claimed_at
        self.task: asyncio.Task[Outcome]
        self.turn: asyncio.Event | None = None
        self.has_place = True
        self.timer: asyncio.TimerHandle | None = None


class Executions:
    """The attempts of one runner.

    Outcomes go to `reports`; `extend` asks the database for more time; `tell` is called after
    whatever the runner may want to act on, `look` after what a look for work may find. At most
    `slots` handlers run at once; `pools` has connections for those that complete on their own.
    """

    def __init__(
        self,
        handlers: Handlers,
        executors: Mapping[str, Executor],
        reports: Reports,
        extend: Extend,
        tell: Callable[[], None],
        log: Any,
        runner: str,
        *,
        slots: int = MOST_SLOTS,
        pools: Pools | None = None,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self._handlers = handlers
        self._executors = executors
        self._reports = reports
        self._ask_for_time = extend
        self._tell = tell
        self._log = log
        self._runner = runner
        self._slots = slots
        self._pools = pools
        self._look = look
        self._returns = Returns(reports, tell, log)
        self._ahead = Ahead(self._returns.untouched)
        self._executor_of: dict[int, Executor] = {}
        capacities = {name: executor.capacity for name, executor in executors.items()}
        self._turns = Turns({name: most for name, most in capacities.items() if most is not None})
        self.worked_at = time.monotonic()  # when a handler last ended
        self.ended = 0  # handlers, so far
        self._open: dict[int, _Execution] = {}
        self._occupied: dict[asyncio.Task[Any], _Execution] = {}

    @property
    def occupied(self) -> int:
        """Slots in use, also by handlers whose outcome no longer counts."""
        return len(self._occupied)

    @property
    def open(self) -> int:
        """How many attempts are not decided yet; may be asked in any thread."""
        return len(self._open) + len(self._ahead)

    @property
    def unclaimed(self) -> int:
        """Slots that are free, without those that claims wait for; negative if more claims wait."""
        return self._slots - len(self._occupied) - len(self._ahead)

    @property
    def claims(self) -> list[int]:
        """The claims whose outcome is still open."""
        return [*self._open, *self._ahead]

    def begin(self, claim: ClaimedStep) -> None:
        """Execute a claimed step once there is a slot for it, or hand it back if this runner does
        not know how.
        """
        if len(self._occupied) < self._slots and not self._ahead:
            self._begin(claim, asyncio.get_running_loop().time())
        else:
            self._ahead.add(claim)

    def _begin(self, claim: ClaimedStep, claimed_at: float) -> None:
        step = self._handlers.find(claim)
        if step is None:
            self._returns.explained(claim, "this runner knows no handler for it")
        elif absent := missing(step, claim):
            self._returns.explained(claim, f"its task has no step {absent[0]!r} before it")
        else:
            self._start(claim, step, claimed_at)

    def settle(self, claim_id: int, outcome: Outcome | None, *, stop: bool = True) -> None:
        """Decide an attempt that is still open, and stop its handler as far as that is possible.

        No outcome: the claim is lost, and there is nothing to report.
        """
        execution = self._open.get(claim_id)
        if execution is None:
            self._settle_ahead(claim_id, outcome)
            return
        attempt = execution.attempt
        if outcome is None and attempt.is_deciding:
            return  # that the claim is held no longer may be its own doing
        del self._open[claim_id]
        attempt.cancelled = True
        if not execution.has_place:
            self._turns.leave(attempt.step, claim_id)
        if execution.timer is not None:
            execution.timer.cancel()
        if stop:
            execution.task.cancel()
        if not (stop and attempt.step.is_async):  # else its handler is stopped, and lets go
            attempt.cut()
        if outcome is None:
            attempt.logger.info("claim lost", consequence="the result is discarded")
        elif outcome is COMMITTED:
            self._log.debug("step ended", **ids(attempt.claim), outcome="complete")
            self._look()  # no report is due whose answer would bring what follows from it
        else:
            if outcome.outcome == "fail":
                attempt.logger.warning("step failed", error=outcome.summary)
            else:
                self._log.debug("step ended", **ids(attempt.claim), outcome=outcome.outcome)
            self._reports.add(attempt.claim, outcome)
        self._tell()

    def _settle_ahead(self, claim_id: int, outcome: Outcome | None) -> None:
        claim = self._ahead.leave(claim_id)
        if claim is None:
            return
        if outcome is None:
            self._log.info("claim lost", **ids(claim), consequence="it does not begin")
        else:
            self._returns.untouched(claim)

    def release(self, *, held_only: bool = False) -> None:
        """Give back what is still open, or only what waits for its turn, untouched."""
        for claim_id in list(self._ahead):
            self.settle(claim_id, released())
        for claim_id, execution in list(self._open.items()):
            if not (held_only and execution.has_place):
                self.settle(claim_id, released())

    async def close(self, patience: float) -> int:
        """Wait for the handlers that were stopped, but not for long; how many did not end."""
        for executor in self._executors.values():
            await executor.close()
        if self._occupied:
            await asyncio.wait(self._occupied, timeout=patience)
        if self._pools is not None:
            await self._pools.close()
        return len(self._occupied)

    def attempt_of(self, task: asyncio.Task[Any]) -> dict[str, Any]:
        """The ids of the attempt that a task of the loop belongs to; empty if that is unknown."""
        execution = self._occupied.get(task)
        if execution is not None:
            return execution.attempt.ids
        context_of = getattr(task, "get_context", None)  # from Python 3.12 on
        attempt = None if context_of is None else context_of().get(context.current)
        return {} if attempt is None else attempt.ids

    # What attempts ask for.

    async def begun(self, attempt: Attempt) -> None:
        """The clock of its timeout starts; the database learns it unless it is obvious."""
        execution = self._open.get(attempt.claim.claim_id)
        if execution is None:
            raise no_longer_counts()
        timeout = attempt.claim.timeout
        if timeout is not None:
            age = asyncio.get_running_loop().time() - execution.claimed_at
            if execution.turn is not None or age > LATE:
                await self.extend(attempt, timeout, None)
            else:
                self._time_out_in(attempt.claim.claim_id, timeout)
        self._log.debug("step began", **ids(attempt.claim))

    async def extend(self, attempt: Attempt, timeout: float | None, progress: Json) -> None:
        """Pass it on; the runner's own clock follows."""
        await self._tell_database(attempt, timeout, progress)
        if timeout is not None:
            self._time_out_in(attempt.claim.claim_id, timeout)

    async def _tell_database(self, attempt: Attempt, timeout: float | None, progress: Json) -> None:
        claim_id = attempt.claim.claim_id
        if claim_id not in self._open:
            raise no_longer_counts()
        try:
            await self._ask_for_time(attempt, timeout, progress)
        except ClaimLost:
            # The handler learns it from this error, and has a moment to act on it.
            execution = self._open.get(claim_id)
            if execution is not None:
                self.settle(claim_id, None, stop=False)
                asyncio.get_running_loop().call_later(LOST_GRACE, execution.task.cancel)
            raise

    # The course of an attempt.

    def _start(self, claim: ClaimedStep, step: WorkflowStep, claimed_at: float) -> None:
        loop = asyncio.get_running_loop()
        attempt = Attempt(
            claim,
            step,
            log=self._log,
            runner=self._runner,
            keeper=self,
            loop=loop,
            pools=self._pools,
        )
        execution = _Execution(attempt, claimed_at)
        if not self._turns.ask(step, claim.claim_id):
            execution.turn = asyncio.Event()
            execution.has_place = False
        execution.task = loop.create_task(self._conduct(execution), name=step.name)
        self._open[claim.claim_id] = execution
        self._occupied[execution.task] = execution
        execution.task.add_done_callback(self._returned)

    async def _conduct(self, execution: _Execution) -> Outcome:
        attempt = execution.attempt
        context.enter(attempt)
        if execution.turn is not None:
            attempt.logger.debug("step held")
            if attempt.claim.timeout is not None:
                await self._tell_database(attempt, HELD, None)
            await execution.turn.wait()
        return await self._executor(attempt.step).execute(attempt)

    def _executor(self, step: WorkflowStep) -> Executor:
        if id(step) not in self._executor_of:
            self._executor_of[id(step)] = self._executors[step.executor]
        return self._executor_of[id(step)]

    def _returned(self, task: asyncio.Task[Outcome]) -> None:
        execution = self._occupied.pop(task)
        self.worked_at = time.monotonic()
        self.ended += 1
        claim, step = execution.attempt.claim, execution.attempt.step
        if execution.has_place:
            self._turns.end(step)
        else:
            self._turns.leave(step, claim.claim_id)
        error = None if task.cancelled() else task.exception()
        if claim.claim_id in self._open:
            if task.cancelled():
                self.settle(claim.claim_id, released())
            elif error is None:
                outcome = task.result()
                self.settle(claim.claim_id, None if outcome is LOST else outcome)
            else:
                self._could_not_begin(execution, error)
        self._next_turns()
        while self._ahead and len(self._occupied) < self._slots:
            self._begin(*self._ahead.first())
        self._tell()

    def _could_not_begin(self, execution: _Execution, error: BaseException) -> None:
        claim_id = execution.attempt.claim.claim_id
        if isinstance(error, ClaimLost):
            self.settle(claim_id, None)
            return
        del self._open[claim_id]
        if execution.timer is not None:
            execution.timer.cancel()
        why = f"it could not begin: {type(error).__name__}: {one_line(error)}"
        self._returns.explained(execution.attempt.claim, why)

    def _next_turns(self) -> None:
        while (claim_id := self._turns.next()) is not None:
            execution = self._open[claim_id]
            execution.has_place = True
            if execution.turn is not None:
                execution.turn.set()

    def _time_out_in(self, claim_id: int, seconds: float) -> None:
        execution = self._open.get(claim_id)
        if execution is None:
            return
        if execution.timer is not None:
            execution.timer.cancel()
        loop = asyncio.get_running_loop()
        execution.timer = loop.call_later(seconds, self.settle, claim_id, timed_out(seconds))
