"""Where handlers run: on the event loop, in threads, or in whatever is put in their place.

Responsible for what an executor is, and for those two; `processes` has the third. When an attempt
begins, and what becomes of its outcome, is left to `execution`.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
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
    """

    capacity: int | None = None

    def __init__(self) -> None:
        self._idle: list[_Thread] = []
        self._pending: set[asyncio.Future[Outcome]] = set()

    def check(self, step: WorkflowStep) -> None:
        """A coroutine function has no loop there."""
        require_plain(step)

    async def execute(self, attempt: Attempt) -> Outcome:
        """Call the handler in a thread with a copy of the context variables."""
        await attempt.begin()
        thread = self._idle.pop() if self._idle else _Thread()
        pending = thread.call(attempt)
        self._pending.add(pending)
        try:
            while True:
                try:
                    return await asyncio.shield(pending)
                except asyncio.CancelledError:
                    if pending.cancelled():
                        raise
        finally:
            self._pending.discard(pending)
            if pending.cancelled():
                thread.end()
            else:
                self._idle.append(thread)

    async def close(self) -> None:
        """Wait for nobody; threads whose handlers hang end with the process."""
        for pending in self._pending:
            pending.cancel()
        for thread in self._idle:
            thread.end()
        self._idle.clear()


class _Thread:
    """A thread that calls one handler after the other."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def call(self, attempt: Attempt) -> asyncio.Future[Outcome]:
        """Call a handler; its outcome."""
        loop = asyncio.get_running_loop()
        pending: asyncio.Future[Outcome] = loop.create_future()
        self._thread.name = attempt.step.name
        context = contextvars.copy_context()
        self._calls.put(partial(context.run, _call, attempt, loop, pending))
        return pending

    def end(self) -> None:
        """End it, once it is idle."""
        self._calls.put(None)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # and with it what the handler was given


def require_plain(step: WorkflowStep) -> None:
    """Raise WorkflowError for a coroutine function."""
    if step.is_async:
        raise WorkflowError(
            f"{step.where} is a coroutine function, which runs on the event loop: "
            "make it a plain function, or choose the executor async"
        )


def _call(
    attempt: Attempt, loop: asyncio.AbstractEventLoop, pending: asyncio.Future[Outcome]
) -> None:
    outcome = attempt.call()
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(_resolve, pending, outcome)


def _resolve(pending: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not pending.done():
        pending.set_result(outcome)
