"""Executing handlers: where they run, how they end, and when their slot is free again."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from contextlib import suppress
from typing import Any

import pytest
from structlog.contextvars import get_contextvars

from pgtasker import AsyncStep, ClaimLost, Step
from pgtasker.runner import execution, returns
from pgtasker.runner.attempt import Attempt
from pgtasker.runner.execution import HELD
from pgtasker.runner.executors import ThreadExecutor
from pgtasker.runner.outcomes import Outcome, released
from pgtasker.workflow import WorkflowStep

from .bench import PATIENCE, Bench, reached, run
from .claims import claim


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


def test_a_thread_is_used_again_and_keeps_nothing_of_the_attempt_before():
    """Its context variables are those of each attempt; it bears the name of the step."""
    mark = contextvars.ContextVar("mark", default="unset")

    def work() -> list[Any]:
        before = mark.get()
        mark.set("set")
        return [threading.get_ident(), threading.current_thread().name, before]

    async def scenario() -> None:
        bench = Bench(work)
        for number in (1, 2):
            bench.executions.begin(claim(claim_id=number))
            await bench.until(lambda: bench.executions.occupied == 0)
        first, second = (report["results"] for report in bench.reported().values())
        assert first == second == [first[0], "work", "unset"]
        threads = threading.active_count()
        await bench.executions.close(PATIENCE)
        await reached(lambda: threading.active_count() < threads)

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


def test_a_handler_tells_its_progress_and_asks_whether_it_counts():
    """Neither changes its timeout."""

    async def on_loop(step: AsyncStep) -> None:
        await step.progress({"percent": 10})
        await step.heartbeat()

    def in_thread(step: Step) -> None:
        step.progress({"percent": 10})
        step.heartbeat()

    async def scenario() -> None:
        for function in (on_loop, in_thread):
            bench = Bench(function)
            bench.executions.begin(claim(timeout=10))
            assert (await bench.ended())["outcome"] == "complete"
            assert bench.extended == [(None, {"percent": 10}), (None, None)]

    run(scenario)


def test_a_handler_in_a_thread_sees_that_it_is_cancelled():
    """It looks at `step.cancelled`: false while it counts, true once it has timed out."""
    seen: list[bool] = []

    def work(step: Step) -> None:
        seen.append(step.cancelled)
        while not step.cancelled:
            pass

    async def scenario() -> None:
        bench = Bench(work)
        bench.executions.begin(claim(timeout=0.05))
        await bench.until(lambda: bench.executions.occupied == 0)
        assert (await bench.ended())["error"]["type"] == "Timeout"

    run(scenario)
    assert seen == [False]


def test_a_handler_learns_from_extend_that_its_claim_is_lost():
    """ClaimLost is raised in the handler, also in a thread; its result is discarded."""
    learnt: list[bool] = []

    def in_thread(step: Step) -> None:
        with pytest.raises(ClaimLost, match="lost"):
            step.extend(timeout=1)
        with pytest.raises(ClaimLost, match="no longer counts"):
            step.heartbeat()
        learnt.append(step.cancelled)

    async def on_loop(step: AsyncStep) -> None:
        with pytest.raises(ClaimLost, match="lost"):
            await step.extend(timeout=1)
        with pytest.raises(ClaimLost, match="no longer counts"):
            await step.heartbeat()
        learnt.append(step.cancelled)

    async def scenario() -> None:
        for function in (in_thread, on_loop):
            bench = Bench(function)
            bench.refusal = ClaimLost("lost")
            bench.executions.begin(claim())
            await bench.until(lambda bench=bench: bench.executions.occupied == 0)
            assert len(bench.reports) == 0
            assert bench.extended == []

    run(scenario)
    assert learnt == [True, True]


def test_a_handler_that_ignores_the_loss_of_its_claim_is_stopped(monkeypatch: pytest.MonkeyPatch):
    """After a moment, like any other whose claim is lost."""
    monkeypatch.setattr(execution, "LOST_GRACE", 0.01)

    async def work(step: AsyncStep) -> None:
        with suppress(ClaimLost):
            await step.heartbeat()
        await asyncio.Event().wait()

    async def scenario() -> None:
        bench = Bench(work)
        bench.refusal = ClaimLost("lost")
        bench.executions.begin(claim())
        await bench.until(lambda: bench.executions.occupied == 0)

    run(scenario)


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


def test_the_ids_are_context_variables_of_the_handler_alone():
    """Whatever logs in it, or in what it starts, finds them; attempts at once do not mix."""
    seen: dict[int, list[dict[str, Any]]] = {}

    async def on_loop(step: AsyncStep) -> None:
        found = [get_contextvars()]
        await asyncio.sleep(0.01)
        found.append(await asyncio.create_task(inner()))
        seen[step.claim_id] = found

    async def inner() -> dict[str, Any]:
        return get_contextvars()

    def in_thread(step: Step) -> None:
        seen[step.claim_id] = [get_contextvars()]

    async def scenario() -> None:
        for function in (on_loop, in_thread):
            seen.clear()
            bench = Bench(function)
            for number in (1, 2):
                bench.executions.begin(claim(claim_id=number, task_id=number, attempt=2))
            await bench.until(lambda bench=bench: len(bench.reports) == 2)
            for number in (1, 2):
                for found in seen[number]:
                    assert found == {
                        "task_id": number,
                        "workflow_step_id": number * 10,
                        "step": "work",
                        "attempt": 2,
                        "runner": "runner",
                    }
            assert get_contextvars() == {}

    run(scenario)


def test_beginning_and_end_are_told_to_who_wants_to_know():
    """At the level debug; a failure is a warning. Each line bears the ids."""

    async def work(step: AsyncStep) -> None:
        if step.attempt == 2:
            raise ValueError("no")

    async def scenario() -> None:
        bench = Bench(work)
        for attempt in (1, 2):
            bench.executions.begin(claim(claim_id=attempt, attempt=attempt))
            await bench.until(lambda: bench.executions.occupied == 0)
        lines = [(line["event"], line["level"], line["attempt"]) for line in bench.lines.kept]
        assert lines == [
            ("step began", "debug", 1),
            ("step ended", "debug", 1),
            ("step began", "debug", 2),
            ("step failed", "warning", 2),
        ]

    run(scenario)


class Gate:
    """A handler that counts who is in it, and lets each out by its claim."""

    def __init__(self) -> None:
        self.inside: list[int] = []
        self.begun: list[int] = []
        self.most = 0
        self._outs: dict[int, asyncio.Event] = {}

    async def work(self, step: AsyncStep) -> None:
        self.begun.append(step.claim_id)
        self.inside.append(step.claim_id)
        self.most = max(self.most, len(self.inside))
        try:
            await self._outs.setdefault(step.claim_id, asyncio.Event()).wait()
        finally:
            self.inside.remove(step.claim_id)

    def let_out(self, *claims: int) -> None:
        for claim_id in claims:
            self._outs.setdefault(claim_id, asyncio.Event()).set()


def held(gate: Gate, *claims: int, limit: int = 1, **changes: Any) -> Bench:
    """A bench whose step has a limit, with these claims begun in this order."""
    bench = Bench(gate.work, concurrency=limit)
    for number in claims:
        bench.executions.begin(claim(claim_id=number, **changes))
    return bench


def test_what_is_beyond_a_limit_waits_for_its_turn():
    """At most so many at once; the others keep their claim and a slot, and begin in order."""

    async def scenario() -> None:
        gate = Gate()
        bench = held(gate, 1, 2, 3, 4, 5, limit=2)
        await reached(lambda: gate.inside == [1, 2])
        assert bench.executions.claims == [1, 2, 3, 4, 5]
        assert bench.executions.occupied == 5
        gate.let_out(2)
        await reached(lambda: gate.inside == [1, 3])
        gate.let_out(1, 3, 4, 5)
        await bench.until(lambda: bench.executions.occupied == 0)
        assert gate.begun == [1, 2, 3, 4, 5]
        assert gate.most == 2
        assert bench.extended == []  # nothing is told if there is no timeout

    run(scenario)


def test_the_timeout_of_a_held_step_does_not_run():
    """The database learns it when the waiting begins and when it ends."""

    async def scenario() -> None:
        gate = Gate()
        bench = held(gate, 1, 2, timeout=5)
        await reached(lambda: bench.extended)
        assert bench.extended == [(HELD, None)]
        gate.let_out(1)
        await reached(lambda: gate.inside == [2])
        assert bench.extended == [(HELD, None), (5, None)]

    run(scenario)


def test_a_held_step_times_out_after_its_beginning():
    """Its clock starts when its handler begins."""

    async def scenario() -> None:
        gate = Gate()
        bench = held(gate, 1, 2, timeout=0.05)
        await bench.until(lambda: len(bench.reports) == 2)
        assert gate.begun == [1, 2]
        for report in bench.reported().values():
            assert report["error"]["type"] == "Timeout"

    run(scenario)


def test_a_held_step_does_not_begin_before_the_database_knows():
    """As long as it cannot be told, an attempt that it may end any moment is not begun."""

    async def scenario() -> None:
        gate = Gate()
        bench = held(gate, 1, 2, timeout=60)
        await reached(lambda: bench.extended)
        bench.may_extend.clear()
        gate.let_out(1)
        await bench.until(lambda: len(bench.reports) == 1)
        assert gate.begun == [1]
        bench.may_extend.set()
        await reached(lambda: gate.begun == [1, 2])

    run(scenario)


def test_a_held_step_whose_claim_is_lost_never_begins():
    """Nor does it get in the way of the next one."""

    async def scenario() -> None:
        gate = Gate()
        bench = held(gate, 1, 2, timeout=60)
        await reached(lambda: bench.extended)
        bench.executions.begin(claim(claim_id=3))
        bench.refusal = ClaimLost("lost")
        gate.let_out(1, 3)
        await bench.until(lambda: bench.executions.occupied == 0)
        assert gate.begun == [1, 3]
        assert bench.reports.claims == [1, 3]

    run(scenario)


def test_held_steps_are_released_at_once():
    """What has begun goes on; what waited goes back, and its slot is free."""

    async def scenario() -> None:
        gate = Gate()
        bench = held(gate, 1, 2, 3)
        await reached(lambda: gate.inside == [1])
        bench.executions.release(held_only=True)
        await bench.until(lambda: bench.executions.occupied == 1)
        assert bench.executions.claims == [1]
        outcomes = {number: report["outcome"] for number, report in bench.reported().items()}
        assert outcomes == {2: "release", 3: "release"}
        gate.let_out(1)
        await bench.until(lambda: bench.executions.occupied == 0)
        assert gate.begun == [1]

    run(scenario)


def test_a_thread_that_timed_out_keeps_its_place_too():
    """The limit is about what really runs."""
    may_end = threading.Event()
    begun: list[int] = []

    def work(step: Step) -> None:
        begun.append(step.claim_id)
        if step.claim_id == 1:
            step.extend(timeout=0.01)
        may_end.wait(PATIENCE)

    async def scenario() -> None:
        bench = Bench(work, concurrency=1)
        bench.executions.begin(claim(claim_id=1, timeout=PATIENCE))
        bench.executions.begin(claim(claim_id=2))
        await bench.until(lambda: bench.reports.claims == [1])
        assert begun == [1]
        may_end.set()
        await bench.until(lambda: bench.reports.claims == [1, 2])
        assert begun == [1, 2]

    run(scenario)


def test_an_attempt_that_begins_late_is_told_to_the_database(monkeypatch: pytest.MonkeyPatch):
    """Its executor took long to begin; the time since the claim is not the handler's."""
    monkeypatch.setattr(execution, "LATE", 0.0)

    class Slow(ThreadExecutor):
        async def execute(self, attempt: Attempt) -> Outcome:
            await asyncio.sleep(0.001)
            return await super().execute(attempt)

    async def scenario() -> None:
        bench = Bench(lambda: None, executors={"thread": Slow()})
        bench.executions.begin(claim(timeout=7))
        await bench.ended()
        assert bench.extended == [(7, None)]

    run(scenario)


def test_an_executor_may_be_put_in_the_place_of_another():
    """It has a capacity of its own, calls the handler where it likes, and is closed."""

    class Here:
        capacity = 1

        def __init__(self) -> None:
            self.at_once: list[int] = []
            self.closed = False

        def check(self, step: WorkflowStep) -> None: ...

        async def execute(self, attempt: Attempt) -> Outcome:
            await attempt.begin()
            self.at_once.append(attempt.claim.claim_id)
            await asyncio.sleep(0)
            assert self.at_once == [attempt.claim.claim_id]
            self.at_once.clear()
            return attempt.call()

        async def close(self) -> None:
            self.closed = True

    async def scenario() -> None:
        here = Here()
        bench = Bench(lambda: threading.current_thread().name, executors={"thread": here})
        for number in (1, 2, 3):
            bench.executions.begin(claim(claim_id=number))
        await bench.until(lambda: bench.reports.claims == [1, 2, 3])
        assert {report["results"] for report in bench.reported().values()} == {"MainThread"}
        assert await bench.executions.close(0) == 0
        assert here.closed

    run(scenario)


def test_a_handler_that_could_not_begin_goes_back():
    """No thread can be started: it is released with a delay, and the attempt does not count."""

    class Exhausted(ThreadExecutor):
        async def execute(self, attempt: Attempt) -> Outcome:
            raise RuntimeError("can't start new thread")

    async def scenario() -> None:
        bench = Bench(lambda: None, executors={"thread": Exhausted()})
        bench.executions.begin(claim(timeout=60))
        report = await bench.ended()
        assert (report["outcome"], report["delay"]) == ("release", 10.0)
        [line] = bench.lines.named("step released")
        assert "can't start new thread" in line["why"]
        assert bench.executions.claims == []

    run(scenario)


def test_a_step_that_goes_back_again_and_again_is_warned_of_once_a_minute(
    monkeypatch: pytest.MonkeyPatch,
):
    """Each step of a workflow for itself; what comes between is for debugging."""

    async def scenario() -> None:
        bench = Bench(lambda: None)
        for number, name in enumerate(("unknown", "unknown", "other"), 1):
            bench.executions.begin(claim(name, claim_id=number))
        monkeypatch.setattr(returns, "WARN_EVERY", 0.0)
        bench.executions.begin(claim("unknown", claim_id=4))
        lines = [(line["step"], line["level"]) for line in bench.lines.named("step released")]
        assert lines == [
            ("unknown", "warning"),
            ("unknown", "debug"),
            ("other", "warning"),
            ("unknown", "warning"),
        ]

    run(scenario)


def test_a_held_step_that_could_not_begin_gives_its_turn_to_the_next():
    """The database refuses to give it time: it goes back, and is not waited for."""

    async def scenario() -> None:
        gate = Gate()
        bench = held(gate, 1)
        bench.refusal = ValueError("no")
        bench.executions.begin(claim(claim_id=2, timeout=60))
        bench.executions.begin(claim(claim_id=3))
        await bench.until(lambda: bench.reports.claims == [2])
        gate.let_out(1, 3)
        await bench.until(lambda: bench.reports.claims == [2, 1, 3])
        assert bench.reported()[2]["outcome"] == "release"

    run(scenario)


def test_closing_waits_for_coroutines_that_clean_up_and_for_no_thread():
    """A coroutine that will not end is waited for as long as it is said, then counted."""

    async def scenario() -> None:
        cleaned: list[bool] = []

        async def tidy() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                cleaned.append(True)

        async def stubborn() -> None:
            while not may_end.is_set():
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.001)

        may_end = threading.Event()
        for function, patience, left in (
            (tidy, PATIENCE, 0),
            (lambda: may_end.wait(), PATIENCE, 0),
            (stubborn, 0, 1),
        ):
            bench = Bench(function)
            bench.executions.begin(claim())
            await asyncio.sleep(0)
            bench.executions.release()
            assert await bench.executions.close(patience) == left
        assert cleaned == [True]
        may_end.set()

    run(scenario)


def test_what_hangs_in_threads_keeps_no_other_attempt_waiting():
    """Each attempt has a thread that nobody else uses meanwhile, whatever the others do."""
    may_end = threading.Event()

    def work(context: int) -> int:
        if context % 2:
            may_end.wait(PATIENCE)
        return context

    async def scenario() -> None:
        bench = Bench(work)
        for number in range(40):
            bench.executions.begin(claim(claim_id=number, context=number))
        await bench.until(lambda: len(bench.reports) == 20)
        assert sorted(bench.reported()) == list(range(0, 40, 2))
        may_end.set()
        await bench.until(lambda: len(bench.reports) == 40)
        assert {each["results"] for each in bench.reported().values()} == set(range(40))

    run(scenario)


def test_no_more_threads_are_started_than_attempts_run_at_once():
    """A thread takes the next attempt when it has done with one."""

    def work() -> int:
        return threading.get_ident()

    async def scenario() -> None:
        bench = Bench(work, slots=3)
        for number in range(100):
            bench.executions.begin(claim(claim_id=number))
        await bench.until(lambda: len(bench.reports) == 100)
        assert len({each["results"] for each in bench.reported().values()}) <= 3

    run(scenario)


def test_an_executor_that_was_closed_serves_again():
    """What a handler that hangs has left behind takes nothing from the attempts that follow."""
    may_end = threading.Event()

    async def scenario() -> None:
        threads = ThreadExecutor()
        bench = Bench(lambda: may_end.wait(), executors={"thread": threads})
        bench.executions.begin(claim(claim_id=1))
        await reached(lambda: bench.lines.named("step began"))
        bench.executions.release()
        assert await bench.executions.close(PATIENCE) == 0
        bench = Bench(lambda: "done", executors={"thread": threads})
        for number in (2, 3):
            bench.executions.begin(claim(claim_id=number))
        await bench.until(lambda: len(bench.reports) == 2)
        may_end.set()
        await bench.executions.close(PATIENCE)

    run(scenario)
