"""How an attempt ended, in the words that `advance` understands.

Responsible for what becomes of a handler's result or exception. Whether and when the step runs
again is left to the database.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any

from pgtasker import payload
from pgtasker.errors import (
    InvalidPayload,
    PayloadError,
    PermanentError,
    Problem,
    RetryableError,
    one_line,
)
from pgtasker.rows import ClaimedStep

LONGEST_MESSAGE = 10_000  # characters; an error must fit where its results would not
LONGEST_TRACEBACK = 50_000
MOST_PROBLEMS = 100  # of a value that does not fit its type


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to report of an attempt: `members` is the JSON text of each further member."""

    outcome: str
    members: dict[str, str]
    summary: str = ""

    def report(self, claim: ClaimedStep) -> str:
        """The outcome of this claim as JSON text."""
        members = "".join([f',"{name}":{text}' for name, text in self.members.items()])
        return (
            f'{{"workflow_step_id":{claim.workflow_step_id},"claim_id":{claim.claim_id},'
            f'"outcome":"{self.outcome}"{members}}}'
        )


# The outcomes of attempts that completed on a connection of their own; of none is a report due.
COMMITTED = Outcome("committed", {}, "committed")
LOST = Outcome("lost", {}, "claim lost")


def completed(results: object) -> Outcome:
    """The handler returned; what JSON cannot hold is a permanent failure: it would not change."""
    try:
        return Outcome("complete", {"results": payload.dump(results, "the result")})
    except PayloadError as error:
        return failed(error, retryable=False)


def failed(error: BaseException, *, retryable: bool = True) -> Outcome:
    """The handler raised: retryable unless it says otherwise."""
    members = {}
    if isinstance(error, RetryableError) and error.retry_after is not None:
        members["retry_after"] = payload.dump(error.retry_after)
    return _failure(
        type(error).__name__,
        _text(error),
        retryable=retryable and not isinstance(error, PermanentError),
        trace=_trace(error),
        problems=error.problems if isinstance(error, InvalidPayload) else (),
        members=members,
    )


def refused(error: BaseException) -> Outcome:
    """The database cannot store what the handler returned; it would not change."""
    reason = PayloadError(f"the outcome was refused: {one_line(error)}")
    return failed(reason, retryable=False)


def timed_out(seconds: float) -> Outcome:
    """The attempt took longer than it may."""
    return _failure("Timeout", f"no result within {seconds:g} s")


def died(how: str) -> Outcome:
    """The process that executed the attempt died; another one may live."""
    return _failure("WorkerDied", how)


def released(delay: float = 0) -> Outcome:
    """The step goes back untouched; the attempt does not count."""
    return Outcome("release", {"delay": payload.dump(delay)}, "released")


def _failure(
    kind: str,
    message: str,
    *,
    retryable: bool = True,
    trace: str | None = None,
    problems: tuple[Problem, ...] = (),
    members: dict[str, str] | None = None,
) -> Outcome:
    error: dict[str, Any] = {"type": kind, "message": payload.storable(message)}
    if trace:
        error["traceback"] = payload.storable(trace)
    if problems:
        error["problems"] = [
            {"path": payload.storable(each.path), "message": payload.storable(each.message)}
            for each in problems[:MOST_PROBLEMS]
        ]
    return Outcome(
        "fail",
        {
            "error": payload.dump(error),
            "retryable": payload.dump(retryable),
            **(members or {}),
        },
        f"{kind}: {message}",
    )


def _text(error: BaseException) -> str:
    try:
        return str(error)[:LONGEST_MESSAGE]
    except Exception:  # noqa: BLE001 - the handler's exception class may do anything
        return "(the error has no readable text)"


def _trace(error: BaseException) -> str | None:
    """The traceback without the runner's own frame; of a long one the end, which matters most."""
    if error.__traceback__ is None or isinstance(error, PayloadError):
        return None
    frames = error.__traceback__.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames))
    return text[-LONGEST_TRACEBACK:]
