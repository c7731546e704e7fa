"""The two clients: that they are one, and what they send."""

from __future__ import annotations

import asyncio
import inspect
import runpy
import socket
import threading
from pathlib import Path

import pytest

from pgtasker import AsyncClient, Client, PayloadError, surface
from pgtasker.clients import twins
from pgtasker.clients.given import hurried

GENERATOR = Path(__file__).parents[2] / "tools" / "generate_sync_client.py"


TOOLS = runpy.run_path(str(GENERATOR))


@pytest.mark.parametrize("name", TOOLS["SOURCES"])
def test_a_synchronous_module_is_the_generated_one(name: str):
    """Its text is what the generator makes of the asynchronous one now."""
    source = TOOLS["PACKAGE"] / name
    assert TOOLS["target"](source).read_text() == TOOLS["generated"](source)


def test_both_clients_offer_the_same():
    """Same methods, same parameters, same answers; only one of them is awaited."""

    def offer(client: type) -> dict[str, tuple[str, ...]]:
        functions = inspect.getmembers(client, inspect.isfunction)
        return {
            name: tuple(map(str, inspect.signature(function).parameters.values()))
            for name, function in functions
            if not name.startswith("_")
        }

    assert offer(AsyncClient) == offer(Client)
    assert all(
        inspect.iscoroutinefunction(getattr(AsyncClient, name)) for name in offer(AsyncClient)
    )


def test_a_call_names_the_schema_and_only_what_was_given():
    """The schema is quoted, arguments go by name, and what is None is left to the defaults."""
    call = surface.create_task("fulfil", {"order": 1}, tags=["vip"])
    assert call.query('My "Flows"').as_string() == (
        'select * from "My ""Flows"""."create_task"'
        '("name" => %(name)s, "context" => %(context)s, "tags" => %(tags)s)'
    )
    assert set(call.arguments) == {"name", "context", "tags"}


@pytest.mark.parametrize(
    ("verb", "subject"),
    [("cancel_task", "task_id"), ("skip_step", "workflow_step_id"), ("pause_queue", "queue")],
)
def test_a_verb_acts_on_what_its_name_says(verb: surface.Verb, subject: str):
    """Verbs on tasks take a task_id, on steps a workflow_step_id, on queues a queue."""
    call = surface.operate(verb, 7, reason="because", actor=None)
    assert call.arguments == {subject: 7, "reason": "because"}


def test_a_context_that_is_no_json_is_refused_before_it_is_sent():
    """The error says which value it was."""
    with pytest.raises(PayloadError, match="the context cannot be stored as json"):
        surface.create_task("fulfil", {1, 2})


def test_a_signal_counts_before_the_sleep_and_once():
    """Neither thread nor task misses what came a moment too early."""
    signal, bell = twins.Signal(), twins.Bell()
    signal.set()
    signal.wait(3600)
    signal.wait(0)
    bell.set()
    bell.wait_for_input(None, 3600)
    bell.wait_for_input(None, 0)

    async def scenario() -> None:
        signal = twins.AsyncSignal()
        signal.set()
        await signal.wait(3600)
        await signal.wait(0)

    asyncio.run(scenario())


def test_a_bell_is_rung_by_others_and_by_input():
    """Whichever comes first ends the sleep, of a thread or of a task."""
    near, far = socket.socketpair()
    with near, far:
        bell = twins.Bell()
        threading.Timer(0.01, bell.set).start()
        bell.wait_for_input(near.fileno(), 3600)
        threading.Timer(0.01, far.send, [b"x"]).start()
        bell.wait_for_input(near.fileno(), 3600)
        assert near.recv(1) == b"x"

        async def scenario() -> None:
            bell = twins.AsyncBell()
            asyncio.get_running_loop().call_later(0.01, bell.set)
            await bell.wait_for_input(near.fileno(), 3600)
            asyncio.get_running_loop().call_later(0.01, far.send, b"x")
            await bell.wait_for_input(near.fileno(), 3600)

        asyncio.run(scenario())


def test_what_may_be_awaited_is_resolved():
    """A value, a function, and for asyncio a coroutine."""

    async def later() -> str:
        return "later"

    async def scenario() -> list[object]:
        return [await twins.resolved_async(given) for given in ("now", lambda: "called", later)]

    assert asyncio.run(scenario()) == ["now", "called", "later"]
    assert [twins.resolved(given) for given in ("now", lambda: "called")] == ["now", "called"]


def test_a_hurried_connection_is_given_no_longer_than_is_left():
    """Nor longer than its address says, nor less than libpq takes."""
    assert hurried("host=x connect_timeout=5", {}, 60) == {"connect_timeout": 5}
    assert hurried("host=x", {"connect_timeout": 7, "user": "u"}, 3.5) == {
        "connect_timeout": 3,
        "user": "u",
    }
    assert hurried("", {}, 0.1) == {"connect_timeout": 2}
