"""The two clients: that they are one, and what they send."""

from __future__ import annotations

import inspect
import runpy
from pathlib import Path

import pytest

from pgtasker import AsyncClient, Client, PayloadError, surface

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
