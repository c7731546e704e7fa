"""Executing handlers: where they run, how they end, and when their slot is free again."""

from __future__ import annotations

import asyncio
import contextvars
import json
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pgtasker import AsyncStep, ClaimLost, Step, Workflow
from pgtasker.rows import Json
from pgtasker.runner.attempt import Attempt
from pgtasker.runner.execution import Executions
from pgtasker.runner.executors import AsyncExecutor, ThreadExecutor
from pgtasker.runner.handlers import Handlers
from pgtasker.runner.outcomes import released
from pgtasker.runner.reports import Reports

from .claims import claim


class Silence:
    """A logger that says nothing."""

    def bind(self, **fields: Any) -> Silence:
        return self

    def info(self, event: str, **fields: Any) -> None: ...

    warning = debug = info


class Bench:
    """Executions of a workflow `flow` whose only step is `work`, without a runner around them."""

    def __init__(self, function: Callable[..., Any]) -> None:
        workflow = Workflow("flow")
        workflow.step(name="work")(function)
        self.reports = Reports()
        self.extended: list[tuple[float | None, Json]] = []
        self.told = asyncio.Event()
        self.executions = Executions(
            Handlers([workflow]),
            {"async": AsyncExecutor(), "thread": ThreadExecutor()},
            self.reports,
            self._extend,
            self.told.set,
            Silence(),
            "runner",
        )

    async def _extend(self, attempt: Attempt, timeout: float | None, progress: Json) -> None:
        if timeout == 0:
            raise ClaimLost("lost")
        self.extended.append((timeout, progress))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what the executions tell."""
        async with asyncio.timeout(10):
            while not condition():
                self.told.clear()
                await self.told.wait()

    async def ended(self) -> dict[str, Any]:
        """The report of the one attempt, once there is one."""
        await self.until(lambda: len(self.reports) > 0)
        (text,) = self.reports.batch().values()
        report: dict[str, Any] = json.loads(text)
        return report


def run(scenario: Callable[[], Any]) -> None:
    """Run a coroutine function to its end."""
    asyncio.run(scenario())


def test_coroutines_run_on_the_loop_and_functions_in_threads():
    """A sync handler never blocks the loop; context variables reach it all the same."""
    mark = contextvars.ContextVar("mark", default="unset")

    def in_thread() -> list[Any]:
        return [threading.current_thread() is threading.main_thread(), mark.get()]

    async def on_loop() -> list[Any]:
        return in_thread()

    async def scenario() -> None:
        mark.set("set")
        for function, expected in ((in_thread, [False, "set"]), (on_loop, [True, "set"])):
            bench = Bench(function)
            bench.executions.begin(claim())
            assert bench.executions.occupied == 1
            assert (await bench.ended())["results"] == expected
            await bench.until(lambda bench=bench: bench.executions.occupied == 0)

    run(scenario)


def test_even_an_exit_ends_the_attempt_and_not_the_runner():
    """sys.exit in a handler is a failed attempt, on the loop and in a thread."""

    async def on_loop() -> None:
        sys.exit("enough")

    def in_thread() -> None:
        sys.exit("enough")

    async def scenario() -> None:
        for function in (on_loop, in_thread):
            bench = Bench(function)
            bench.executions.begin(claim())
            assert (await bench.ended())["error"]["type"] == "SystemExit"

    run(scenario)


def test_a_coroutine_that_takes_too_long_is_cancelled():
    """The timeout is reported at once; the slot is free when the handler has cleaned up."""
    cleaned = []

    async def scenario() -> None:
        may_end = asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await may_end.wait()
                cleaned.append(True)

        bench = Bench(work)
        bench.executions.begin(claim(timeout=0.01))
        assert (await bench.ended())["error"]["type"] == "Timeout"
        assert bench.executions.claims == []
        assert bench.executions.occupied == 1
        may_end.set()
        await bench.until(lambda: bench.executions.occupied == 0)
        assert cleaned == [True]
        assert len(bench.reports) == 1

    run(scenario)


def test_a_thread_that_takes_too_long_keeps_its_slot_until_it_returns():
    """It cannot be stopped; what it returns in the end is discarded."""
    may_end = threading.Event()

    async def scenario() -> None:
        bench = Bench(lambda: may_end.wait())
        bench.executions.begin(claim(timeout=0.01))
        assert (await bench.ended())["error"]["type"] == "Timeout"
        assert bench.executions.occupied == 1
        may_end.set()
        await bench.until(lambda: bench.executions.occupied == 0)
        assert len(bench.reports) == 1

    run(scenario)


def test_a_lost_claim_cancels_the_handler_and_discards_the_result():
    """Nothing is reported."""

    async def scenario() -> None:
        async def work() -> None:
            await asyncio.Event().wait()

        bench = Bench(work)
        bench.executions.begin(claim(claim_id=5))
        assert bench.executions.claims == [5]
        await asyncio.sleep(0)
        bench.executions.settle(5, None)
        await bench.until(lambda: bench.executions.occupied == 0)
        assert len(bench.reports) == 0

    run(scenario)


def test_an_attempt_is_settled_once():
    """A release at shutdown is what counts, not how the cancelled handler ends."""

    async def scenario() -> None:
        async def work() -> str:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "late"
            return "never"

        bench = Bench(work)
        bench.executions.begin(claim(claim_id=5))
        await asyncio.sleep(0)
        bench.executions.settle(5, released())
        await bench.until(lambda: bench.executions.occupied == 0)
        assert (await bench.ended())["outcome"] == "release"

    run(scenario)


def test_a_step_without_a_handler_goes_back_with_a_delay():
    """So does one whose stored graph lacks a parent that the function asks for."""

    async def scenario() -> None:
        bench = Bench(lambda: None)
        bench.executions.begin(claim("other"))
        report = await bench.ended()
        assert (report["outcome"], report["delay"]) == ("release", 10.0)
        assert bench.executions.occupied == 0

    run(scenario)


def test_a_handler_can_ask_for_more_time():
    """`extend` moves the timeout, from the loop and from a thread, and records progress."""

    async def on_loop(step: AsyncStep) -> str:
        await step.extend(timeout=30, progress={"done": 1})
        return step.name

    def in_thread(step: Step) -> str:
        step.extend(timeout=30, progress={"done": 1})
        return step.name

    async def scenario() -> None:
        for function in (on_loop, in_thread):
            bench = Bench(function)
            bench.executions.begin(claim(timeout=10))
            assert (await bench.ended())["results"] == "work"
            assert bench.extended == [(30, {"done": 1})]

    run(scenario)


def test_a_handler_learns_from_extend_that_its_claim_is_lost():
    """ClaimLost is raised in the handler, also in a thread; its result is discarded."""
    learnt: list[bool] = []

    def in_thread(step: Step) -> None:
        with pytest.raises(ClaimLost):
            step.extend(timeout=0)
        with pytest.raises(ClaimLost, match="no longer counts"):
            step.heartbeat()
        learnt.append(step.cancelled)

    async def on_loop(step: AsyncStep) -> None:
        with pytest.raises(ClaimLost):
            await step.extend(timeout=0)
        with pytest.raises(ClaimLost, match="no longer counts"):
            await step.heartbeat()
        learnt.append(step.cancelled)

    async def scenario() -> None:
        for function in (in_thread, on_loop):
            bench = Bench(function)
            bench.executions.begin(claim())
            await bench.until(lambda bench=bench: bench.executions.occupied == 0)
            assert len(bench.reports) == 0
            assert bench.extended == []

    run(scenario)
    assert learnt == [True, True]


def test_a_step_knows_its_attempt():
    """Ids, attempt, limit, inputs and tags are those of the claim."""
    seen: list[Step] = []

    async def scenario() -> None:
        def work(step: Step) -> None:
            seen.append(step)

        bench = Bench(work)
        bench.executions.begin(claim(attempt=2, inputs={"a": 1}, tags=["vip"]))
        await bench.ended()

    run(scenario)
    (step,) = seen
    assert (step.workflow_step_id, step.claim_id, step.task_id) == (990, 99, 1)
    assert (step.workflow, step.name, step.attempt, step.retry_limit) == ("flow", "work", 2, 3)
    assert (step.inputs, step.tags) == ({"a": 1}, ("vip",))
