"""The health of a runner, and who is to blame for an event loop that does not turn."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from pgtasker import Health, Runner, Workflow
from pgtasker.runner import health, runner

from ..support.databases import Database
from .bench import PATIENCE, Bench, reached, run
from .claims import claim
from .field import Field

live = pytest.mark.newest_only  # what is tested is the runner


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """What runners log, instead of printing it."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop counts as blocked sooner, and is looked at more often."""
    monkeypatch.setattr(health, "TICK", 0.01)
    monkeypatch.setattr(health, "STALL", 0.05)


def block(until: Any) -> None:
    """Block this thread until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.001)


async def with_pulse(bench: Bench, scenario: Any) -> None:
    """Run the scenario while the pulse of the loop is watched; no thread is left of it."""
    pulse = health.Pulse(bench.lines, bench.executions.attempt_of)
    beating = asyncio.create_task(pulse.beat())
    try:
        await scenario()
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
    assert [thread for thread in threading.enumerate() if thread.name == "pulse"] == []


def test_a_handler_that_blocks_the_event_loop_is_named(quick: None):
    """While it does: the place, the step, for how long, and what to do instead."""

    async def scenario() -> None:
        def helper() -> None:
            block(lambda: bench.lines.named("event loop blocked"))

        async def blocks() -> None:
            helper()

        bench = Bench(blocks)

        async def begin() -> None:
            bench.executions.begin(claim(task_id=7))
            await bench.ended()

        await with_pulse(bench, begin)
        [line] = bench.lines.named("event loop blocked")
        assert (line["level"], line["task_id"], line["step"]) == ("warning", 7, "work")
        assert line["seconds"] > 0
        assert "helper" in line["where"]
        assert "blocks" in line["where"]
        assert "test_health.py" in line["where"]
        assert "asyncio" not in line["where"]
        assert "to_thread" in line["advice"]

    run(scenario)


def test_who_blocks_again_is_not_named_again_soon(quick: None):
    """One line a minute for each place, however often it happens."""

    async def scenario() -> None:
        async def blocks() -> None:
            named = len(bench.lines.named("event loop blocked"))
            if named == 0:
                block(lambda: bench.lines.named("event loop blocked"))
            else:
                time.sleep(0.2)

        bench = Bench(blocks)

        async def begin() -> None:
            for number in (1, 2):
                bench.executions.begin(claim(claim_id=number))
                await bench.until(lambda number=number: number in bench.reports.claims)
                await asyncio.sleep(0.05)

        await with_pulse(bench, begin)
        assert len(bench.lines.named("event loop blocked")) == 1

    run(scenario)


def test_a_loop_that_only_waits_is_not_blamed(quick: None, monkeypatch: pytest.MonkeyPatch):
    """Even if the machine is so busy that its ticks come late."""
    monkeypatch.setattr(health, "STALL", 0.0)

    async def scenario() -> None:
        bench = Bench(lambda: None)
        await with_pulse(bench, lambda: asyncio.sleep(0.2))
        assert bench.lines.named("event loop blocked") == []

    run(scenario)


def flow() -> Workflow:
    """A workflow of one step."""
    workflow = Workflow("flow")
    workflow.step(name="work")(lambda: None)
    return workflow


@live
def test_the_health_of_a_runner_follows_its_life(database: Database):
    """Not live before it runs, ready when it is registered, not ready when it stops."""
    field = Field(database)
    seen: dict[str, Health] = {}

    async def scenario() -> None:
        may_end = asyncio.Event()
        workflow = Workflow("flow")

        @workflow.step
        async def work() -> None:
            await may_end.wait()

        made = Runner(database.dsn, [workflow], schema=database.schema)
        seen["made"] = made.health()
        running = asyncio.create_task(made.run())
        await field.until(lambda: made.health().ready)
        await field.client.start(workflow)
        await field.until(lambda: made.health().running == 1)
        # From another thread it is the same.
        seen["ready"] = await asyncio.to_thread(made.health)
        made.stop()
        seen["stopping"] = made.health()
        may_end.set()
        await running
        seen["ended"] = made.health()

    field.play(scenario)
    facts = {when: (one.live, one.ready, one.stopping, one.running) for when, one in seen.items()}
    assert facts == {
        "made": (False, False, False, 0),
        "ready": (True, True, False, 1),
        "stopping": (True, False, True, 1),
        "ended": (False, False, True, 0),
    }
    ready = seen["ready"]
    [row] = database.main.call("list_runners")
    assert (ready.runner, ready.runner_id) == (row.name, row.runner_id)
    assert ready.unreported == 0
    assert ready.last_heartbeat_age is not None
    assert 0 <= ready.last_heartbeat_age < 15
    assert ready.stalled is not None


def test_a_runner_whose_database_is_away_is_live_but_not_ready(tmp_path: Path, logged: list[Any]):
    """A restart would not help it."""

    async def scenario() -> None:
        made = Runner(f"host={tmp_path}", [flow()])
        running = asyncio.create_task(made.run())
        await reached(lambda: any(line["event"] == "no connection" for line in logged))
        now = made.health()
        assert (now.live, now.ready, now.runner_id, now.last_heartbeat_age) == (
            True,
            False,
            None,
            None,
        )
        made.stop()
        await running

    run(scenario)


def test_a_runner_whose_last_heartbeat_is_older_than_its_lease_is_not_ready(tmp_path: Path):
    """Others may have taken its steps; it does not know yet."""

    async def scenario() -> None:
        made = Runner(f"host={tmp_path}", [flow()])
        running = asyncio.create_task(made.run())
        await asyncio.sleep(0)
        made._shared.runner_id = 1
        made._shared.lease = 15.0
        made._shared.beat_at = time.monotonic() - 14
        await reached(lambda: made.health().live)
        assert made.health().ready
        made._shared.beat_at = time.monotonic() - 16
        assert not made.health().ready
        made._shared.runner_id = None
        made.stop()
        await running

    run(scenario)


def test_a_runner_whose_loop_does_not_turn_is_not_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Asked from another thread, as whoever watches it does."""
    monkeypatch.setattr(runner, "LONGEST_STALL", 0.05)

    async def scenario() -> None:
        made = Runner(f"host={tmp_path}", [flow()])
        made._shared.lease = 0.05
        running = asyncio.create_task(made.run())
        await reached(lambda: made.health().live)
        stalled = threading.Event()

        def watch() -> None:
            block(lambda: not made.health().live)
            stalled.set()

        threading.Thread(target=watch, daemon=True).start()
        assert stalled.wait(PATIENCE)  # which blocks the loop
        made.stop()
        await running

    run(scenario)
