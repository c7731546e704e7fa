"""The examples in the docstrings run as they stand."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from datetime import timedelta

import psycopg
import pytest
from structlog.testing import capture_logs

import pgtasker
from pgtasker import Client, Workflow, testing

from ..support.databases import Database

MODULES = [
    importlib.import_module(f"pgtasker.testing.{module.name}")
    for module in pkgutil.iter_modules(testing.__path__)
]
EXAMPLES = [
    example
    for module in MODULES
    for example in doctest.DocTestFinder(exclude_empty=True).find(module)
    if example.examples
]


def test_everything_that_runs_tasks_has_an_example():
    """A public name without one is hard to find one's way with."""
    with_example = {example.name.rpartition(".")[2] for example in EXAMPLES}
    assert set(testing.__all__) - with_example <= {"TaskStuck", "shapes"}


@pytest.mark.newest_only
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_runs(example: doctest.DocTest, client: Client, database: Database):
    """With a client of an empty install, and a workflow `shop/fulfil`."""
    fulfil = Workflow("fulfil", namespace="shop")

    @fulfil.step
    def ship(context: dict[str, int]) -> str:
        return f"order {context['order']} is on its way"

    client.register(fulfil)
    example.globs = {name: getattr(testing, name) for name in testing.__all__} | {
        "client": client,
        "dsn": database.dsn,
        "fulfil": fulfil,
        "pgtasker": pgtasker,
        "psycopg": psycopg,
        "timedelta": timedelta,
        "workflow": Workflow("unstable"),
    }
    said: list[str] = []
    with capture_logs():
        doctest.DocTestRunner().run(example, out=said.append, clear_globs=False)
    assert said == []
