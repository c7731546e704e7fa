"""A codec: the database holds what it made of contexts and results, clients see what they were."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import Any

import pytest

from pgtasker import AsyncClient, Client, IdempotencyConflict, InvalidContext, Workflow
from pgtasker.codec import ENCODED, decoded, encoded
from pgtasker.rows import Json

from ..support.databases import Database

pytestmark = pytest.mark.newest_only

SECRET = "4111-1111"


class Scrambled:
    """A codec that a test can read, and nobody else at a glance."""

    def encode(self, value: Json) -> Json:
        return base64.b64encode(json.dumps(value, sort_keys=True).encode()).decode()[::-1]

    def decode(self, value: Json) -> Json:
        return json.loads(base64.b64decode(value[::-1]))


@dataclass
class Order:
    card: str
    n: int = 1


def charges() -> Workflow:
    """A workflow a -> b whose context is an Order."""
    workflow = Workflow("flow", context=Order)
    workflow.step(name="a")(lambda context: None)
    workflow.step(name="b")(lambda a: None)
    return workflow


def client_of(database: Database, codec: Any = None) -> Client:
    return Client(database.session_dsn(), schema=database.schema, codec=codec or Scrambled())


def stored(database: Database) -> str:
    """Every payload in the database, as text."""
    db = database.main
    contexts = db.column("select context::text from tasks")
    results = db.column("select results::text from workflow_step_transitions where results <> '1'")
    return "\n".join([*contexts, *results])


def test_the_database_never_sees_it(database: Database) -> None:
    """Neither in the context nor in results; the client that has the codec does, wherever."""
    db, workflow = database.main, charges()
    with client_of(database) as client:
        client.register(workflow)
        [task] = client.start_many(workflow, [Order(SECRET)])
        a, b = client.get_task_steps(task)
        client.resolve_step(a.workflow_step_id, {"card": SECRET})
        client.resolve_step(b.workflow_step_id, [SECRET])
        assert SECRET not in stored(database)
        assert stored(database).count(ENCODED) == 3
        found = client.get_task(task)
        assert (found.context, found.results) == ({"card": SECRET, "n": 1}, {"b": [SECRET]})
        assert client.wait(task) == found
        assert client.wait_many([task, task]) == [found, found]
        assert [step.results for step in client.get_task_steps(task)] == [
            {"card": SECRET},
            [SECRET],
        ]
        logged = [entry.results for entry in client.get_task_history(task) if entry.results]
        assert logged == [{"card": SECRET}, [SECRET]]
        [parent] = client.get_step_transitive_dependencies(b.workflow_step_id)
        assert parent.results == {"card": SECRET}
    assert db.task(task).context.keys() == {ENCODED}


def test_the_asynchronous_client_does_the_same(database: Database) -> None:
    """They are twins."""

    async def run() -> Any:
        async with AsyncClient(
            database.session_dsn(), schema=database.schema, codec=Scrambled()
        ) as client:
            await client.register_many([charges()])
            return (await client.get_task(await client.start("flow", {"card": SECRET}))).context

    assert asyncio.run(run()) == {"card": SECRET}
    assert SECRET not in stored(database)


def test_what_was_stored_as_it_is_stays_readable(database: Database) -> None:
    """Tasks from before, from SQL, or without a context."""
    db = database.main
    db.define("a")
    plain, empty = db.start(context={"n": 1}), db.start()
    with client_of(database) as client:
        assert client.get_task(plain).context == {"n": 1}
        assert client.get_task(empty).context == client.get_task(client.start("flow")).context == {}


def test_a_client_without_the_codec_sees_that_it_is_encoded(database: Database) -> None:
    """And does not mistake it for the context."""
    with client_of(database) as client:
        client.register(charges())
        task = client.start("flow", {"card": SECRET})
    with Client(database.session_dsn(), schema=database.schema) as other:
        assert other.get_task(task).context == {ENCODED: Scrambled().encode({"card": SECRET})}


def test_a_context_is_checked_before_it_is_encoded(database: Database) -> None:
    """Where the database cannot: it is given no schema."""
    workflow = charges()
    with client_of(database) as client:
        client.register(workflow)
        assert database.main.one("select context_schema from named_tasks") is None
        with pytest.raises(InvalidContext, match="card"):
            client.start(workflow, {"n": 1})
        client.start(workflow, {"card": SECRET})
    assert "context_schema" in workflow.definition()


def test_keys_compare_what_is_stored(database: Database) -> None:
    """The same for the same, if the codec answers so."""
    with client_of(database) as client:
        client.register(charges())
        first = client.start("flow", {"card": SECRET}, idempotency_key="k")
        assert client.start("flow", {"card": SECRET}, idempotency_key="k") == first
        with pytest.raises(IdempotencyConflict):
            client.start("flow", {"card": "another"}, idempotency_key="k")


def test_what_a_codec_raises_is_raised(database: Database) -> None:
    """Nothing is sent that could not be encoded."""

    class Broken:
        def encode(self, value: Json) -> Json:
            raise ValueError("no key")

        decode = encode

    with client_of(database) as client:
        client.register(charges())
        task = client.start("flow", {"card": SECRET})
    with client_of(database, Broken()) as client:
        with pytest.raises(ValueError, match="no key"):
            client.start("flow", {"card": SECRET})
        with pytest.raises(ValueError, match="no key"):
            client.get_task(task)
    assert database.main.one("select count(*) from tasks") == 1


@pytest.mark.parametrize("value", [{}, [], "", 0, False, {"a": None}, {ENCODED: 1, "b": 2}])
def test_whatever_json_holds_comes_back(value: Json) -> None:
    """Also what is false, empty, or looks like something encoded."""
    assert decoded(Scrambled(), encoded(Scrambled(), value)) == value
    assert encoded(None, value) == decoded(None, value) == value


def test_nothing_stays_nothing() -> None:
    """A step without results has none."""
    assert encoded(Scrambled(), None) is decoded(Scrambled(), None) is None
