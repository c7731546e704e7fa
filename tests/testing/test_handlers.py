"""Handlers that fail as they are told."""

from __future__ import annotations

import asyncio
import errno

import pytest

from pgtasker import Client, PermanentError
from pgtasker.testing import (
    ConfigurableFailureHandler,
    NetworkTimeoutHandler,
    linear,
    run_task,
    run_workflow,
)

pytestmark = pytest.mark.newest_only


def test_it_fails_so_many_times_in_each_round(client: Client):
    """An operator's retry begins a new round of attempts, and so of failures."""
    handler = ConfigurableFailureHandler(2, results="done")
    workflow = linear(1, handler=handler, options={"retry_limit": 2})
    task = run_workflow(client, workflow)
    assert task.state == "error"
    client.retry_task(task.task_id)
    assert run_task(client, task.task_id, workflow).state == "error"
    assert [step.attempt for step in handler.calls] == [1, 2, 1, 2]
    handler.failures = 1
    client.retry_task(task.task_id)
    assert run_task(client, task.task_id, workflow).results == {"step_1": "done"}


def test_two_that_count_together(client: Client):
    """The attempt is the database's, so another handler (another process) goes on counting."""
    task = run_workflow(
        client, linear(1, handler=ConfigurableFailureHandler(3), options={"retry_limit": 2})
    )
    client.retry_task(task.task_id)
    second = ConfigurableFailureHandler(1)
    run_task(client, task.task_id, linear(1, handler=second))
    assert [step.attempt for step in second.calls] == [1, 2]


def test_a_failure_can_be_permanent(client: Client):
    """Then it is the only one."""
    handler = ConfigurableFailureHandler(5, error="gone", retryable=False)
    with pytest.raises(PermanentError, match=r"gone \(1 of 5\)"):
        run_workflow(client, linear(1, handler=handler), raise_errors=True)
    assert len(handler.calls) == 1


def test_a_failure_can_say_when_to_try_again(client: Client):
    """The delay that is asked for replaces the backoff."""
    handler = ConfigurableFailureHandler(1, retry_after=3600)
    task = run_workflow(client, linear(1, handler=handler))
    failed, retried = (
        entry.created_at
        for entry in client.get_task_history(task.task_id)
        if entry.entity == "step" and "error" in (entry.to_state, entry.from_state)
    )
    assert (retried - failed).total_seconds() == pytest.approx(3600, abs=0.001)


def test_an_exception_says_itself_what_it_means():
    """So it cannot be combined with what is for messages."""
    for options in ({"retryable": False}, {"retry_after": 1.0}):
        with pytest.raises(ValueError, match="give a message"):
            ConfigurableFailureHandler(1, error=KeyError("order"), **options)  # type: ignore[arg-type]


def test_a_server_does_not_answer_at_first(client: Client):
    """The error is the operating system's, on the loop as in a function."""
    handler = NetworkTimeoutHandler(timeouts=2, results=200)
    for called in (handler, handler.on_loop):
        task = run_workflow(client, linear(1, handler=called))
        assert task.results == {"step_1": 200}
        errors = [entry.error for entry in client.get_task_history(task.task_id) if entry.error]
        assert [error["message"] for error in errors] == [
            f"[Errno {errno.ETIMEDOUT}] Connection timed out"
        ] * 2
    assert asyncio.iscoroutinefunction(handler.on_loop)


def test_the_traceback_is_of_one_attempt(client: Client):
    """Although the same exception is raised each time."""
    handler = ConfigurableFailureHandler(3, error=ValueError("again"))
    with pytest.raises(ValueError, match="again") as raised:
        run_workflow(client, linear(1, handler=handler), raise_errors=True)
    assert [entry.name for entry in raised.traceback].count("_attempt") == 1
