"""Every scenario, short, under a fixed seed: whatever happens, no promise is broken.

How long recovery takes is measured by `make chaos`; here only what must hold at any speed counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.databases import Databases
from .place import CannotHappenError, Place, Scenario
from .report import PAGE, rows_in
from .scenarios import SCENARIOS
from .servers import Server

pytestmark = pytest.mark.newest_only  # what fails is around the engine
SEED = 1


@pytest.fixture(scope="module")
def shared(server: Databases) -> Iterator[Server]:
    """A server that no scenario crashes, beside the one of the test run."""
    if "data" not in server.facts:
        pytest.skip("this server cannot be disturbed from here")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    data = Path(server.facts["data"]).with_name(f"chaos-{worker}")
    shared = Server(Path(server.facts["bindir"]), data)
    yield shared
    shared.remove()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.key)
def test_no_promise_is_broken(scenario: Scenario, shared: Server):
    """The fault is injected, work goes on by itself, and the checker finds nothing."""
    beside = shared.data.with_name(f"{shared.data.name}-{scenario.key}")
    beside.mkdir()
    place = Place(shared.bindir, beside, SEED, shared)
    try:
        measured = scenario.run(place, scenario.short)
    except CannotHappenError as reason:
        pytest.skip(str(reason))
    print(measured.text)


def test_the_page_has_a_row_for_every_scenario():
    """With its fault and its target as they are."""
    rows = rows_in(PAGE.read_text())
    assert list(rows) == [scenario.name for scenario in SCENARIOS]
    for scenario in SCENARIOS:
        assert f"| {scenario.injection} | {scenario.target} |" in rows[scenario.name]
