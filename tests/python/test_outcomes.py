"""Outcomes: what becomes of a handler's result or exception."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pgtasker import PermanentError, RetryableError
from pgtasker.runner.outcomes import (
    LONGEST_MESSAGE,
    LONGEST_TRACEBACK,
    Outcome,
    completed,
    failed,
    released,
    timed_out,
)

from .claims import claim


def report(outcome: Outcome) -> dict[str, Any]:
    """The outcome as `advance` would read it, without the ids."""
    read: dict[str, Any] = json.loads(outcome.report(claim(claim_id=7)))
    assert (read.pop("workflow_step_id"), read.pop("claim_id")) == (70, 7)
    return read


def raised(error: Exception) -> Exception:
    """The error with a traceback of two frames, as the runner would catch it."""

    def handler() -> None:
        raise error

    try:
        handler()
    except type(error) as caught:
        return caught
    raise AssertionError


def test_a_result_is_reported_as_it_is():
    """Complete, with the results."""
    assert report(completed({"a": [1, None]})) == {
        "outcome": "complete",
        "results": {"a": [1, None]},
    }


def test_a_result_that_is_no_json_is_a_permanent_failure_that_says_so():
    """Another attempt would give the same, so none is made."""
    failure = report(completed({1, 2}))
    assert (failure["outcome"], failure["retryable"]) == ("fail", False)
    assert failure["error"] == {
        "type": "PayloadError",
        "message": "the result cannot be stored as json: "
        "Object of type set is not JSON serializable",
    }


def test_any_exception_is_retryable_and_keeps_type_message_and_traceback():
    """The traceback begins at the handler, not in the runner."""
    failure = report(failed(raised(ValueError("no such order"))))
    assert (failure["outcome"], failure["retryable"]) == ("fail", True)
    assert failure["error"]["type"] == "ValueError"
    assert failure["error"]["message"] == "no such order"
    assert "in handler" in failure["error"]["traceback"]
    assert "in raised" not in failure["error"]["traceback"]
    assert "retry_after" not in failure


def test_retryable_and_permanent_errors_mean_what_they_say():
    """A RetryableError may ask for a delay; a PermanentError ends the step."""
    assert report(failed(RetryableError("later", retry_after=2.5)))["retry_after"] == 2.5
    assert report(failed(RetryableError("later")))["retryable"] is True
    assert report(failed(PermanentError("never")))["retryable"] is False


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf")])
def test_a_delay_that_is_none_is_refused_where_it_is_given(delay: float):
    """A RetryableError with a senseless delay cannot be made."""
    with pytest.raises(ValueError, match="retry_after must be"):
        RetryableError("later", retry_after=delay)


def test_an_error_can_always_be_stored():
    """What jsonb cannot hold is replaced, what is too long is cut, what raises is passed over."""

    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert (
        report(failed(ValueError("a\0b\udce9")))["error"]["message"]
        == "a\N{REPLACEMENT CHARACTER}b?"
    )
    long = report(failed(raised(ValueError("x" * 1_000_000))))["error"]
    assert len(long["message"]) == LONGEST_MESSAGE
    assert len(long["traceback"]) == LONGEST_TRACEBACK
    assert report(failed(raised(SilentError())))["error"]["message"].startswith("(the error has")


def test_a_timeout_is_a_retryable_failure():
    """It bears the type Timeout and the seconds."""
    failure = report(timed_out(0.5))
    assert failure["error"] == {"type": "Timeout", "message": "no result within 0.5 s"}
    assert failure["retryable"] is True


def test_a_release_may_have_a_delay():
    """In seconds, none unless given."""
    assert report(released()) == {"outcome": "release", "delay": 0}
    assert report(released(10.0)) == {"outcome": "release", "delay": 10.0}
