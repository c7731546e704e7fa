"""The runner's parts without a database: handlers found, reports kept."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any

import psycopg
import pytest

from pgtasker import Workflow, surface
from pgtasker.rows import ClaimedStep
from pgtasker.runner import link
from pgtasker.runner.handlers import Handlers, arguments, missing
from pgtasker.runner.outcomes import completed
from pgtasker.runner.reports import Reports

from ..support.databases import Database
from .claims import claim


def flow(version: str, handler: str | None = None) -> Workflow:
    """A workflow `flow` with one step `work`."""
    workflow = Workflow("flow", version=version)
    options: Any = {"handler": handler} if handler else {}
    workflow.step(name="work", **options)(lambda context: version)
    return workflow


def found(handlers: Handlers, **changes: Any) -> Any:
    """What the handler found for a claim says, or None."""
    step = handlers.find(claim(**changes))
    return step and step.function({})


def test_the_exact_version_is_preferred():
    """With two versions loaded, each task gets its own; an unknown one the last loaded."""
    handlers = Handlers([flow("1.0.0"), flow("2.0.0")])
    assert found(handlers, version="1.0.0") == "1.0.0"
    assert found(handlers, version="2.0.0") == "2.0.0"
    assert found(handlers, version="0.9.0") == "2.0.0"


def test_a_handler_name_goes_before_workflow_and_step():
    """A function with a handler name serves steps of any workflow that name it."""
    handlers = Handlers([flow("1.0.0"), flow("2.0.0", handler="works.work")])
    assert found(handlers, handler="works.work", workflow_name="other") == "2.0.0"
    assert found(handlers, handler="works.other", version="1.0.0") == "1.0.0"


def test_other_workflows_are_unknown():
    """Namespace, workflow and step must fit."""
    handlers = Handlers([flow("1.0.0")])
    assert found(handlers, namespace="other") is None
    assert found(handlers, workflow_name="other") is None
    assert found(handlers, step_name="other") is None


def test_a_handler_receives_what_it_asks_for():
    """Results of parents by name, the context and the running step; a parent it lacks is named."""
    workflow = Workflow("flow")
    workflow.step(name="parent")(lambda: None)
    workflow.step(name="other")(lambda: None)
    workflow.step(name="work")(lambda parent, context, step: None)
    step = workflow.steps["work"]
    given = claim(dependency_results={"parent": [1], "other": 2}, context={"a": 1})
    assert missing(step, given) == []
    assert arguments(step, given, "running") == {
        "parent": [1],
        "context": {"a": 1},
        "step": "running",
    }
    assert missing(step, claim()) == ["parent"]


def test_reports_are_kept_until_they_are_taken():
    """What is added while a batch is under way stays for the next one."""
    reports = Reports()
    reports.add(claim(claim_id=1), completed("a"))
    reports.add(claim(claim_id=2), completed("b"))
    batch = reports.batch()
    reports.add(claim(claim_id=3), completed("c"))
    assert reports.claims == [1, 2, 3]
    reports.taken(batch)
    assert reports.claims == [3]


def test_a_refused_report_is_found_and_replaced():
    """The batch goes one by one until it is clear; the guilty one becomes a permanent failure."""
    reports = Reports()
    for claim_id in (1, 2):
        reports.add(claim(claim_id=claim_id), completed("bad"))
    reports.refused(reports.batch(), ValueError("no room"))
    assert list(reports.batch()) == [1]
    reports.refused(reports.batch(), ValueError("no room"))
    failure = json.loads(reports.batch()[1])
    assert failure["retryable"] is False
    assert failure["error"]["message"] == "the outcome was refused: no room"
    reports.taken(reports.batch())
    assert reports.one_by_one
    reports.taken(reports.batch())
    assert not reports.one_by_one
    assert len(reports) == 0


def test_a_step_of_which_not_even_the_failure_is_taken_goes_back():
    """It is released with a delay instead of being refused for ever."""
    reports = Reports()
    reports.add(claim(claim_id=1), completed("bad"))
    for _ in range(2):
        reports.refused(reports.batch(), ValueError("no room"))
    assert json.loads(reports.batch()[1])["outcome"] == "release"


@pytest.mark.parametrize("context", [{"a": [1, 2.5, None, "ä"]}, 2**70, -1.5e-400])
def test_claims_are_read_as_the_standard_library_reads_them(context: Any):
    """Field by field; `timeout` is in seconds, whatever form its number has."""
    given = claim(context=context, dependency_results={"parent": context}, tags=["a"], timeout=30)
    text = json.dumps([asdict(given), asdict(claim(claim_id=2))])
    assert ClaimedStep.read_all(text) == [given, claim(claim_id=2)]
    assert ClaimedStep.read_all("[]") == []


def test_a_number_beyond_all_bounds_stops_no_runner():
    """jsonb holds what no float does; the attempt gets what the standard library makes of it."""
    text = json.dumps([asdict(claim(context="HUGE"))]).replace('"HUGE"', "1" + "0" * 400 + ".5")
    [read] = ClaimedStep.read_all(text)
    assert read == claim(context=float("inf"))


def test_a_call_is_sent_as_it_is_composed():
    """Composed once for each schema, whatever the arguments."""
    for schema in ("pgtasker", 'My "Flows"'):
        for number in (1, 2):
            call = surface.advance(number, [], number)
            assert call.sent(schema) == call.query(schema).as_bytes()


class Silence:
    """A log for what says nothing here."""

    def warning(self, *_: Any, **__: Any) -> None:
        """Say nothing."""


def test_a_connection_that_was_lost_is_opened_again_at_once(monkeypatch: pytest.MonkeyPatch):
    """Only if that fails too are there pauses, longer each time."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)

    async def fail_three_times() -> None:
        lost = link.Link("work", "", "pgtasker", Silence())
        for _ in range(3):
            await lost.recover(OSError("gone"))

    asyncio.run(fail_three_times())
    assert pauses[0] == 0
    assert 0 < pauses[1] < pauses[2]


def test_a_call_that_may_be_sent_twice_outlives_its_connection(own_database: Database):
    """Other calls say that it is gone, and so does this one if there is no other."""
    line = link.Link("work", own_database.dsn, own_database.schema, Silence())
    version = surface.get_setting("schema_version")

    def cut() -> None:
        own_database.main.run(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and application_name = 'pgtasker'"
        )

    async def scenario() -> None:
        assert await line.execute(version)
        cut()
        assert await line.execute_anyhow(version)
        cut()
        with pytest.raises(psycopg.OperationalError):
            await line.execute(version)
        await line.close()
        line._dsn = "host=/nowhere"
        with pytest.raises(psycopg.OperationalError):
            await line.execute_anyhow(version)

    asyncio.run(scenario())
