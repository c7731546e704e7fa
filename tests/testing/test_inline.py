"""Inline mode: what an application starts has run when `start` returns."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pgtasker import AsyncClient, Client, ConfigurationError, Workflow
from pgtasker.testing import ConfigurableFailureHandler, TaskStuck, diamond, inline, linear

from ..support.databases import Database

pytestmark = pytest.mark.newest_only


def test_what_is_started_has_run(client: Client):
    """Retries included, whether the workflow is given as itself or by its name."""
    workflow = linear(2, handler=ConfigurableFailureHandler(2))
    with inline(workflow):
        for given in (workflow, "shapes/linear"):
            assert client.get_task(client.start(given)).state == "complete"
        assert [
            client.get_task(task_id).state for task_id in client.start_many(given, [{}] * 3)
        ] == (["complete"] * 3)


def test_a_workflow_that_is_started_need_not_be_named(client: Client):
    """It was not registered either: no runner did that."""
    with inline():
        assert client.get_task(client.start(diamond(), {"order": 1})).results == {"end": 6}


def test_afterwards_everything_is_as_before(client: Client):
    """Also after an error inside."""
    before = Client.start, Client.start_many, AsyncClient.start, AsyncClient.start_many
    with pytest.raises(KeyError), inline():
        raise KeyError
    assert before == (Client.start, Client.start_many, AsyncClient.start, AsyncClient.start_many)
    client.register(diamond())
    assert client.get_task(client.start(diamond())).state == "pending"


def test_a_rollback_undoes_everything(client: Client, database: Database):
    """The test looks at what became of the task, and leaves nothing behind."""
    with psycopg.connect(database.dsn) as connection, inline():
        joined = Client(connection, schema=database.schema)
        task_id = joined.start(linear(2, handler=ConfigurableFailureHandler(1)))
        assert joined.get_task(task_id).complete
        connection.rollback()
    assert client.list_tasks() == []
    assert client.list_runners() == []


def test_an_asynchronous_client_does_the_same(database: Database):
    """One task or many."""

    async def scenario() -> None:
        async with AsyncClient(database.dsn, schema=database.schema) as client:
            with inline(diamond()):
                task_ids = [await client.start("shapes/diamond")]
                task_ids += await client.start_many(diamond(), [{}, {}])
            assert [(await client.get_task(task_id)).state for task_id in task_ids] == (
                ["complete"] * 3
            )

    asyncio.run(scenario())


def test_what_a_handler_starts_runs_before_it_goes_on(client: Client):
    """The outer attempt survives the time that the inner retries took, and its siblings run later,
    once."""
    inner = linear(2, handler=ConfigurableFailureHandler(2), options={"backoff": {"base": 30}})
    outer = Workflow("outer")
    order = []

    @outer.step(timeout=1)
    def first() -> Any:
        order.append("first")
        return client.get_task(client.start(inner)).state

    @outer.step
    def second() -> None:
        order.append("second")

    with inline():
        task = client.get_task(client.start(outer))
    assert (task.state, task.results) == ("complete", {"first": "complete", "second": None})
    assert order == ["first", "second"]
    assert [step.attempts for step in client.get_task_steps(task.task_id)] == [1, 1]


def test_failures_stay_in_the_task_unless_they_are_asked_for(client: Client):
    """An application that starts a task does not see its failure; a test may want to."""
    workflow = linear(1, handler=ConfigurableFailureHandler(9, error=OSError("disk full")))
    with inline(workflow):
        assert client.get_task(client.start(workflow)).state == "error"
    with inline(workflow, raise_errors=True):
        with pytest.raises(OSError, match="disk full"):
            client.start(workflow)
        with pytest.raises(OSError, match="disk full"):
            client.start_many(workflow, [{}, {}])


def test_a_workflow_that_nobody_knows_is_an_error(client: Client):
    """`start` says which one it is."""
    client.register(linear())
    with inline(), pytest.raises(ConfigurationError, match="no workflows"):
        client.start("shapes/linear")
    with inline(diamond()), pytest.raises(TaskStuck, match="give shapes/linear"):
        client.start("shapes/linear")


def test_a_key_that_is_taken_gives_the_task_that_has_run(client: Client):
    """It is not run again."""
    handler = ConfigurableFailureHandler(0)
    with inline():
        workflow = linear(1, handler=handler)
        task_ids = {client.start(workflow, idempotency_key="one") for _ in range(2)}
    assert len(task_ids) == len(handler.calls) == 1
