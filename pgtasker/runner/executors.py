"""Where handlers run: on the event loop, in threads, or in whatever is put in their place.

Responsible for what an executor is, and for those two; `processes` has the third. When an attempt
begins, and what becomes of its outcome, is left to `execution`.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections import deque
from contextlib import suppress
from typing import Protocol

from pgtasker.errors import WorkflowError
from pgtasker.runner.attempt import Attempt
from pgtasker.runner.outcomes import Outcome
from pgtasker.workflow import WorkflowStep


class Executor(Protocol):
    """A place where handlers run; `Runner(executors={"process": MyExecutor()})` puts one there."""

    @property
    def capacity(self) -> int | None:
        """How many attempts it takes at once; None: as many as the runner has slots."""

    def check(self, step: WorkflowStep) -> None:
        """Raise WorkflowError if it cannot execute this step; asked when the runner is made."""

    async def execute(self, attempt: Attempt) -> Outcome:
        """Execute the handler and return when it has ended: until then it occupies a slot.

        Awaits `attempt.begin()` right before the handler begins. `attempt.call()` calls a plain
        function in a thread, `await attempt.call_async()` a coroutine function on the loop; what
        does it elsewhere makes its outcome with `pgtasker.runner.outcomes`. It is cancelled once
        the outcome no longer counts: then the handler should end as soon as possible. Raises only
        if the handler could not begin: the step goes back, and the attempt does not count.
        """

    async def close(self) -> None:
        """Give up on what still runs; after that, no `execute` of it may be left."""


class AsyncExecutor:
    """Coroutine functions, on the event loop. Cancelling one raises CancelledError in it."""

    capacity: int | None = None

    def check(self, step: WorkflowStep) -> None:
        """A plain function would block the loop."""
        if not step.is_async:
            raise WorkflowError(
                f"{step.where} is a plain function, which would block the event loop: "
                "make it async, or choose the executor thread or process"
            )

    async def execute(self, attempt: Attempt) -> Outcome:
        """Await the handler in the task of the attempt."""
        await attempt.begin()
        return await attempt.call_async()

    async def close(self) -> None:
        """Nothing to do: the task was cancelled, and its handler cleans up."""


class ThreadExecutor:
    """Plain functions, each attempt in a daemon thread that nobody else uses meanwhile.

    A thread cannot be stopped: it keeps its slot until its handler returns, which can look at
    `step.cancelled`. The pool of the standard library would not do: at exit it waits for threads
    that hang.

    There are as many threads as there were ever attempts at once. They take attempts from one line,
    so that one that finds its next attempt there changes no thread, and what ends while the loop
    is busy reaches it all at once.
    """

    capacity: int | None = None

    def __init__(self) -> None:
        self._line: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._threads = 0
        self._calls: set[_Call] = set()
        self._returned: deque[_Call] = deque()
        self._collecting = False  # whether the loop was told to collect what returned

    def check(self, step: WorkflowStep) -> None:
        """A coroutine function has no loop there."""
        require_plain(step)

    async def execute(self, attempt: Attempt) -> Outcome:
        """Call the handler in a thread with a copy of the context variables."""
        await attempt.begin()
        if len(self._calls) >= self._threads:
            threading.Thread(target=self._serve, args=[self._line], daemon=True).start()
            self._threads += 1
        call = _Call(attempt, asyncio.get_running_loop())
        self._calls.add(call)
        self._line.put(call)
        try:
            return await call.ended()
        finally:
            self._calls.discard(call)

    async def close(self) -> None:
        """Wait for nobody; threads whose handlers hang end with the process."""
        for call in self._calls:
            call.give_up()
        for _ in range(self._threads):
            self._line.put(None)
        self._threads = 0
        self._line = queue.SimpleQueue()

    def _serve(self, line: queue.SimpleQueue[_Call | None]) -> None:
        """Call one handler after the other, in a thread of the executor."""
        this = threading.current_thread()
        while (call := line.get()) is not None:
            if not call.given_up:
                this.name = call.attempt.step.name
                call.outcome = call.context.run(call.attempt.call)
                self._returned.append(call)
                if not self._collecting:
                    self._collecting = True
                    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                        call.loop.call_soon_threadsafe(self._collect)
            del call  # and with it what the handler was given

    def _collect(self) -> None:
        self._collecting = False  # before looking: what returns from now on tells the loop again
        while self._returned:
            self._returned.popleft().wake()


class _Call:
    """A call of a handler in a thread, and the task that waits for it."""

    __slots__ = ("_waiter", "attempt", "context", "given_up", "loop", "outcome")

    def __init__(self, attempt: Attempt, loop: asyncio.AbstractEventLoop) -> None:
        self.attempt = attempt
        self.loop = loop
        self.context = contextvars.copy_context()
        self.outcome: Outcome | None = None
        self.given_up = False
        self._waiter: asyncio.Future[None] = loop.create_future()

    async def ended(self) -> Outcome:
        """Wait for the thread, also if the task is cancelled meanwhile, unless it is given up."""
        while self.outcome is None:
            try:
                await self._waiter
            except asyncio.CancelledError:
                if self.given_up:
                    raise
                self._waiter = self.loop.create_future()
        return self.outcome

    def give_up(self) -> None:
        """Nobody waits for the thread any more."""
        self.given_up = True
        self._waiter.cancel()

    def wake(self) -> None:
        """The outcome is there."""
        if not self._waiter.done():
            self._waiter.set_result(None)


def require_plain(step: WorkflowStep) -> None:
    """Raise WorkflowError for a coroutine function."""
    if step.is_async:
        raise WorkflowError(
            f"{step.where} is a coroutine function, which runs on the event loop: "
            "make it a plain function, or choose the executor async"
        )
