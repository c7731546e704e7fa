"""A runner with a codec: handlers work with what it was, the database holds what the codec made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from structlog.testing import capture_logs

from pgtasker import AsyncClient, Workflow
from pgtasker.codec import ENCODED
from pgtasker.rows import Json

from ..support.databases import Database
from . import process_steps
from .field import PATIENCE, Field
from .test_codec import SECRET, Scrambled, stored

pytestmark = pytest.mark.newest_only


@dataclass
class Order:
    card: str


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """What runners log, instead of printing it."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def field(database: Database) -> Field:
    """The worker's database, whose client has the codec."""
    field = Field(database)
    field.client = AsyncClient(database.dsn, schema=database.schema, codec=Scrambled())
    return field


def test_handlers_work_with_what_it_was(field: Field, database: Database):
    """On the loop and in threads, with instances of types, and with results of parents."""
    workflow = Workflow("flow")

    @workflow.step
    async def seen(context: Order) -> Order:
        assert isinstance(context, Order)
        return context

    @workflow.step
    def digits(seen: Order) -> str:
        return seen.card.replace("-", "")

    @workflow.step
    def nothing(digits: str) -> None:
        assert digits == SECRET.replace("-", "")

    @workflow.step
    def last(digits: str, nothing: None) -> list[str]:
        return [digits]

    async def scenario() -> None:
        async with field.running(workflow, codec=Scrambled()):
            task = await field.run(workflow, Order(SECRET))
        assert (task.state, task.results) == ("complete", {"last": ["41111111"]})

    field.play(scenario)
    assert stored(database).count(ENCODED) == 4
    assert SECRET not in stored(database)
    assert database.main.one("select context_schema from named_tasks") is None


def test_a_worker_process_needs_no_codec(field: Field, database: Database):
    """It is given what it was, and what it returns is encoded outside."""
    workflow = Workflow("flow")
    workflow.step(name="double", executor="process")(process_steps.double)

    async def scenario() -> None:
        async with field.running(workflow, codec=Scrambled()):
            task = await field.run(workflow, {"number": 7, "total": 1.5})
        assert task.results == {"double": {"number": 7, "total": 3.0}}

    field.play(scenario)
    assert "total" not in stored(database)


def test_tasks_from_before_are_executed_as_they_are(field: Field, database: Database):
    """What nobody encoded is not decoded."""
    workflow = Workflow("flow")
    workflow.step(name="a")(lambda context: context["n"])

    async def scenario() -> None:
        await field.client.register(workflow)
        task_id = database.main.start(context={"n": 7})
        async with field.running(workflow, codec=Scrambled()):
            task = await field.client.wait(task_id, timeout=PATIENCE)
        assert (task.state, task.results) == ("complete", {"a": 7})

    field.play(scenario)


@pytest.mark.parametrize("broken", ["encode", "decode"])
def test_what_a_codec_raises_fails_the_attempt(field: Field, database: Database, broken: str):
    """As an exception of the handler would: it is retried, and the runner goes on."""

    class Forgetful(Scrambled):
        forgot = 0

        def _forget(self, verb: str) -> None:
            if verb == broken and not self.forgot:
                self.forgot += 1
                raise ValueError("no key")

        def encode(self, value: Json) -> Json:
            self._forget("encode")
            return super().encode(value)

        def decode(self, value: Json) -> Json:
            self._forget("decode")
            return super().decode(value)

    workflow = Workflow("flow")
    workflow.step(name="a", backoff={"base": 0, "max": 0})(lambda context: context["n"])

    async def scenario() -> None:
        async with field.running(workflow, codec=Forgetful()):
            task = await field.run(workflow, {"n": 7})
        assert (task.state, task.results) == ("complete", {"a": 7})

    field.play(scenario)
    errors = database.main.column(
        "select error from workflow_step_transitions where error is not null"
    )
    assert [(error["type"], error["message"]) for error in errors] == [("ValueError", "no key")]
