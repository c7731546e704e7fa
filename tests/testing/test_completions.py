"""Handlers under test that write in the transaction of their completion, and values in a codec."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pgtasker import AsyncClient, AsyncStep, Client, Step, Workflow
from pgtasker.rows import Json, Task
from pgtasker.testing import inline, run_all, run_task, run_workflow

from ..support.databases import Database

pytestmark = pytest.mark.newest_only
WRITE = "insert into public.effects values (%s)"
KINDS = ["coroutine", "thread"]


@pytest.fixture
def books(database: Database) -> Iterator[Any]:
    """What was written, as others see it."""
    database.main.run(
        "create table public.effects (note text unique deferrable initially deferred)"
    )
    yield lambda: database.main.column("select note from public.effects order by note")
    database.main.run("drop table public.effects")


def writing(kind: str, fail_until: int = 1) -> Workflow:
    """A step that writes the number of its attempt, and fails before `fail_until`."""
    workflow = Workflow("writing")

    def end(step: Any) -> str:
        if step.attempt < fail_until:
            raise ValueError("not yet")
        return "done"

    async def in_coroutine(step: AsyncStep) -> str:
        connection = await step.connection()
        assert await step.connection() is connection
        await connection.execute(WRITE, [f"attempt {step.attempt}"])
        return end(step)

    def in_thread(step: Step) -> str:
        assert step.connection() is step.connection()
        step.connection().execute(WRITE, [f"attempt {step.attempt}"])
        return end(step)

    workflow.step(name="work")(in_coroutine if kind == "coroutine" else in_thread)
    return workflow


def run(database: Database, way: str, workflow: Workflow) -> Task:
    """Run a task of it with a client of this kind."""
    if way == "client":
        with Client(database.dsn, schema=database.schema) as client:
            return run_workflow(client, workflow)

    async def awaited() -> Task:
        async with AsyncClient(database.dsn, schema=database.schema) as client:
            return await run_workflow(client, workflow)

    return asyncio.run(awaited())


@pytest.mark.parametrize("way", ["client", "async client"])
@pytest.mark.parametrize("kind", KINDS)
def test_writes_are_kept_with_the_completion(database: Database, books: Any, kind: str, way: str):
    """Of the attempt that returned, and of no other, whatever the client is."""
    task = run(database, way, writing(kind, fail_until=2))
    assert (task.state, task.results) == ("complete", {"work": "done"})
    assert books() == ["attempt 2"]
    assert database.main.one("select xmin::text from public.effects") == database.main.one(
        "select xmin::text from workflow_step_transitions where to_state = 'complete'"
    )


@pytest.mark.parametrize("way", ["client", "async client"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_at_the_commit_fails_the_attempt(
    database: Database, books: Any, kind: str, way: str
):
    """As a deferred constraint does."""
    database.main.run("insert into public.effects values ('attempt 1')")
    assert run(database, way, writing(kind)).state == "complete"
    assert books() == ["attempt 1", "attempt 2"]


def test_everything_joins_the_transaction_of_the_test(database: Database, books: Any):
    """Writes and completion too: a savepoint each."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("begin")
        workflow = writing("thread", fail_until=2)
        task = run_workflow(connection, workflow, schema=database.schema)
        assert task.state == "complete"
        assert connection.execute("select note from public.effects").fetchall() == [("attempt 2",)]
        connection.rollback()
    assert books() == []


def test_a_connection_of_the_other_kind_cannot_see_an_open_transaction(
    database: Database, books: Any
):
    """So it is refused, with what to do."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("begin")
        task = run_workflow(connection, writing("coroutine"), schema=database.schema)
        assert (task.state, task.error["work"]["type"]) == ("error", "PermanentError")
        assert "an AsyncConnection" in task.error["work"]["message"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancelled_task_keeps_nothing(database: Database, books: Any, kind: str):
    """Neither writes nor results."""
    workflow = Workflow("cancelled")

    def cancel(step: Any) -> None:
        with Client(database.dsn, schema=database.schema) as client:
            client.cancel_task(step.task_id)

    async def in_coroutine(step: AsyncStep) -> None:
        await (await step.connection()).execute(WRITE, ["in vain"])
        cancel(step)

    def in_thread(step: Step) -> None:
        step.connection().execute(WRITE, ["in vain"])
        cancel(step)

    workflow.step(name="work")(in_coroutine if kind == "coroutine" else in_thread)
    assert run(database, "client", workflow).state == "cancelled"
    assert books() == []


def test_what_is_started_inline_may_write(database: Database, books: Any):
    """As any task that is run in a test."""
    workflow = writing("thread")
    with Client(database.dsn, schema=database.schema) as client, inline(workflow):
        assert client.get_task(client.start(workflow)).state == "complete"
    assert books() == ["attempt 1"]


class Reversed:
    """A codec for texts that does nothing good."""

    def encode(self, value: Json) -> Json:
        assert isinstance(value, str)
        return value[::-1]

    def decode(self, value: Json) -> Json:
        assert isinstance(value, str)
        return value[::-1]


def echoing() -> Workflow:
    """A workflow whose steps pass on the context, and complete in both ways."""
    workflow = Workflow("echoing")

    @workflow.step
    def first(context: str, step: Step) -> str:
        step.connection()
        return context

    @workflow.step
    async def second(first: str) -> str:
        return first

    return workflow


@pytest.mark.parametrize("way", ["run_workflow", "run_task", "run_all", "inline"])
def test_a_client_with_a_codec_is_understood(database: Database, way: str):
    """Handlers get what the context was, and results are stored encoded."""
    workflow = echoing()
    with Client(database.dsn, schema=database.schema, codec=Reversed()) as client:
        client.register(workflow)
        if way == "run_workflow":
            task = run_workflow(client, workflow, "secret")
        elif way == "inline":
            with inline(workflow):
                task = client.get_task(client.start(workflow, "secret"))
        elif way == "run_task":
            task = run_task(client, client.start(workflow, "secret"), workflow)
        else:
            client.start(workflow, "secret")
            [task] = run_all(client, workflow)
    assert (task.context, task.results) == ("secret", {"second": "secret"})
    [stored] = database.main.rows(
        "select context::text, results::text from get_task((select min(task_id) from task_list))"
    )
    assert "terces" in stored.context
    assert "terces" in stored.results
    assert "secret" not in f"{stored.context}{stored.results}"


def test_what_a_codec_raises_fails_the_attempt(database: Database):
    """As in a runner."""
    workflow = Workflow("mute")
    workflow.step(name="work", retry_limit=1)(lambda: 42)  # not a text
    with Client(database.dsn, schema=database.schema, codec=Reversed()) as client:
        task = run_workflow(client, workflow, "secret")
    assert (task.state, task.error["work"]["type"]) == ("error", "AssertionError")
