"""Every error that pgtasker raises on purpose.

Responsible for the translation of the engine's own SQLSTATEs (class TK) into one exception each,
and for the two exceptions with which a handler says what a failure means. Every other error of the
database reaches the caller as psycopg raises it: its SQLSTATE and its hint already say what to do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg


class PgtaskerError(Exception):
    """The base of all others; its text is one line for a person."""


class ConfigurationError(PgtaskerError):
    """What was given to reach the database, or is found there, cannot be used."""


class NotInstalled(ConfigurationError):  # noqa: N818 - the name is what is the matter
    """The schema does not exist in this database, or holds no (complete) install."""


class WorkflowError(PgtaskerError):
    """A workflow is declared wrongly, or cannot be loaded; the message points at the place."""


class PayloadError(PgtaskerError, ValueError):
    """A value cannot be stored as JSON; the message says why."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One place where a value does not fit its type: `path` is like context.prices[1].

    `message` goes on from there: "is missing", "must be integer, not string".
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path} {self.message}"


class InvalidPayload(PayloadError):  # noqa: N818 - the name is what is the matter
    """A value does not fit the type that an annotation gives it.

    `problems` are all places that do not fit; the text names each of them.
    """

    def __init__(self, what: str, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{what} does not fit: {'; '.join(map(str, self.problems))}")


class InvalidContext(InvalidPayload):
    """The context of a task does not fit the type that its workflow gives it."""


class EngineError(PgtaskerError):
    """The engine refused a call, and the caller can act on it.

    `detail` and `hint` are what the database added to the message, or None.
    """

    sqlstate = "TK000"

    def __init__(self, message: str, *, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.detail = detail
        self.hint = hint


class ClaimLost(EngineError):  # noqa: N818 - the name is an outcome, as the SQL surface words it
    """The claim is no longer held: whatever the attempt produced must be discarded."""

    sqlstate = "TK001"

    @property
    def step_state(self) -> str | None:
        """The state of the step now, as the error's detail gives it."""
        found = re.search(r"\bstate (\w+)", self.detail or "")
        return found.group(1) if found else None


class IdempotencyConflict(EngineError):  # noqa: N818
    """A task with this idempotency key exists with other content: `task_id` is that task."""

    sqlstate = "TK002"

    @property
    def task_id(self) -> int | None:
        """The existing task, as the error's detail gives it."""
        found = re.search(r"\d+", self.detail or "")
        return int(found.group()) if found else None


class UnknownWorkflow(EngineError):  # noqa: N818
    """No such workflow, version or step name."""

    sqlstate = "TK003"


class RunnerExpired(EngineError):  # noqa: N818
    """The runner is unknown or its lease has expired: register again."""

    sqlstate = "TK004"


class RetryableError(PgtaskerError):
    """Raised by a handler: this attempt failed, another may succeed.

    `retry_after`, in seconds, replaces the backoff of the step; without it the error means the same
    as any other exception.
    """

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        if retry_after is not None and not (math.isfinite(retry_after) and retry_after >= 0):
            raise ValueError(f"retry_after must be a number of seconds, not {retry_after!r}")
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(PgtaskerError):
    """Raised by a handler: the step has failed for good, no attempt will help."""


_BY_SQLSTATE: dict[str, type[EngineError]] = {
    error.sqlstate: error
    for error in (ClaimLost, IdempotencyConflict, UnknownWorkflow, RunnerExpired)
}
_NOT_INSTALLED = ("3F000", "42883", "42P01")  # no such schema, function, view


@contextmanager
def translated() -> Iterator[None]:
    """Raise the engine's own errors as their classes here, and let every other pass."""
    try:
        yield
    except psycopg.Error as error:
        diagnosis = error.diag
        if error.sqlstate in _NOT_INSTALLED:
            raise NotInstalled(
                f"{diagnosis.message_primary}: install pgtasker there (`pgtasker install`), "
                "or name the schema it is in (`--schema`)"
            ) from error
        known = _BY_SQLSTATE.get(error.sqlstate or "")
        if known is None:
            raise
        raise known(
            diagnosis.message_primary or str(error),
            detail=diagnosis.message_detail,
            hint=diagnosis.message_hint,
        ) from error


def one_line(error: BaseException) -> str:
    """The first line of what an error says; libpq and PostgreSQL explain it in further lines."""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    # What psycopg puts before libpq's message says the same as the message.
    return lines[0].strip().removeprefix("connection is bad: ").removeprefix("connection failed: ")
