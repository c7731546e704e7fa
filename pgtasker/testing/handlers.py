"""Handlers that fail as they are told, for tests of retries.

Responsible for `ConfigurableFailureHandler` and `NetworkTimeoutHandler`. They count by the attempt
that the database gives, so several runners and processes count together.
"""

from __future__ import annotations

import errno
from typing import Any

from pgtasker.errors import PermanentError, RetryableError
from pgtasker.rows import Json
from pgtasker.runner.step import AsyncStep, Step


class ConfigurableFailureHandler:
    """A handler that fails so many times in each round of attempts, and then returns `results`.

    `error` is the message of the failure, or an exception to raise instead. With a message,
    `retryable=False` makes the first failure the last, and `retry_after`, in seconds, replaces the
    backoff. `calls` keeps the `step` of every call in this process. `on_loop` is the same handler
    as a coroutine function.

        >>> unstable = ConfigurableFailureHandler(2, results={"parcel": 1})
        >>> fetch = workflow.step(name="fetch")(unstable)
        >>> run_workflow(client, workflow).results
        {'fetch': {'parcel': 1}}
        >>> [step.attempt for step in unstable.calls]
        [1, 2, 3]
    """

    def __init__(
        self,
        failures: int = 2,
        *,
        error: str | Exception = "configured to fail",
        retryable: bool = True,
        retry_after: float | None = None,
        results: Json = None,
    ) -> None:
        if isinstance(error, Exception) and not (retryable and retry_after is None):
            raise ValueError("an exception says itself whether it is retryable: give a message")
        self.failures = failures
        self.results = results
        self.calls: list[Step | AsyncStep] = []
        self._error = error
        self._retryable = retryable
        self._retry_after = retry_after

    def __call__(self, step: Step) -> Any:
        """Fail, or return the results."""
        return self._attempt(step)

    async def on_loop(self, step: AsyncStep) -> Any:
        """The same, on the event loop: `workflow.step(name="fetch")(handler.on_loop)`."""
        return self._attempt(step)

    def _attempt(self, step: Step | AsyncStep) -> Any:
        self.calls.append(step)
        if step.attempt > self.failures:
            return self.results
        if isinstance(self._error, Exception):
            raise self._error.with_traceback(None)
        message = f"{self._error} ({step.attempt} of {self.failures})"
        if not self._retryable:
            raise PermanentError(message)
        raise RetryableError(message, retry_after=self._retry_after)


class NetworkTimeoutHandler(ConfigurableFailureHandler):
    """A handler whose first calls fail as one to a server that does not answer.

    It raises the TimeoutError that the operating system's `connect` gives, so many times in each
    round of attempts, and then returns `results`.

        >>> fetch = workflow.step(name="fetch")(NetworkTimeoutHandler(timeouts=2))
        >>> run_workflow(client, workflow).state
        'complete'
    """

    def __init__(self, timeouts: int = 1, *, results: Json = None) -> None:
        error = TimeoutError(errno.ETIMEDOUT, "Connection timed out")
        super().__init__(timeouts, error=error, results=results)
