"""The runner against a real database, in real time: what it executes, survives and leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from pgtasker import (
    AsyncStep,
    NotInstalled,
    PermanentError,
    RetryableError,
    Runner,
    Workflow,
)
from pgtasker.runner.ahead import PER_SLOT

from ..support.databases import Database
from .field import PATIENCE, Field


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """What runners log, instead of printing it."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def field(database: Database) -> Field:
    """The worker's database, for a runner."""
    return Field(database)


def waiting_workflow(event: asyncio.Event, **options: Any) -> tuple[Workflow, asyncio.Event]:
    """A workflow of one async step that begins, says so, and waits for the event."""
    begun = asyncio.Event()
    workflow = Workflow("waiting")

    @workflow.step(**options)
    async def work() -> str:
        begun.set()
        await event.wait()
        return "done"

    return workflow, begun


def test_a_dag_of_sync_and_async_handlers_runs_to_its_end(field: Field):
    """Results flow along the edges; those of the leaves are the task's."""
    workflow = Workflow("diamond")

    @workflow.step
    def root(context: Any) -> int:
        return int(context["n"])

    @workflow.step
    async def left(root: int) -> int:
        return root + 1

    @workflow.step(inputs={"factor": 10})
    def right(root: int, step: Any) -> int:
        return root * int(step.inputs["factor"])

    @workflow.step
    async def sum_up(left: int, right: int) -> list[int]:
        return [left, right]

    async def scenario() -> None:
        async with field.running(workflow):
            task = await field.run(workflow, {"n": 4})
        assert (task.state, task.results) == ("complete", {"sum_up": [5, 40]})

    field.play(scenario)


def test_failures_are_retried_as_they_ask(field: Field):
    """A RetryableError after its delay, a PermanentError never; the log keeps what happened."""
    workflow = Workflow("moody")

    @workflow.step
    def flaky(step: Any) -> int:
        if step.attempt < 3:
            raise RetryableError("not yet", retry_after=0)
        return int(step.attempt)

    @workflow.step
    async def broken() -> None:
        raise PermanentError("never")

    @workflow.step
    def strange() -> Any:
        return {1, 2}

    async def scenario() -> None:
        async with field.running(workflow):
            task = await field.run(workflow)
        assert task.state == "error"
        assert task.error["broken"]["type"] == "PermanentError"
        assert "never" in task.error["broken"]["traceback"]
        assert "not JSON serializable" in task.error["strange"]["message"]
        steps = {step.name: step for step in await field.client.get_task_steps(task.task_id)}
        assert {name: (step.state, step.attempts) for name, step in steps.items()} == {
            "flaky": ("complete", 3),
            "broken": ("error", 1),
            "strange": ("error", 1),
        }

    field.play(scenario)


def test_a_runner_never_executes_more_than_it_has_slots(field: Field):
    """With two slots, never more than two handlers run, and all get their turn; what is claimed
    ahead of them is bounded.
    """
    workflow = Workflow("crowd")
    running: set[int] = set()
    seen: list[tuple[int, int]] = []

    def work() -> None:
        running.add(threading.get_ident())
        held = "select count(*) from workflow_steps where in_process"
        with lock:
            seen.append((len(running), field.db.one(held)))
        running.remove(threading.get_ident())

    lock = threading.Lock()
    for number in range(10):
        workflow.step(name=f"work_{number}")(work)

    async def scenario() -> None:
        async with field.running(workflow, concurrency=2):
            task = await field.run(workflow)
        assert task.state == "complete"
        assert len(seen) == 10
        assert max(handlers for handlers, _ in seen) <= 2
        assert max(claims for _, claims in seen) <= 2 + 2 * PER_SLOT

    field.play(scenario)


def test_a_runner_uses_two_connections(field: Field):
    """One to talk about itself, one for the work."""
    workflow = Workflow("flow")
    workflow.step(name="work")(lambda: None)

    async def scenario() -> None:
        async with field.running(workflow):
            await field.run(workflow)
            await field.client.close()
            await field.until(lambda: len(field.connections()) == 2)

    field.play(scenario)


def test_a_timeout_is_enforced_by_the_runner(field: Field):
    """The attempt fails with the type Timeout long before the database would say so."""

    async def scenario() -> None:
        workflow, _ = waiting_workflow(asyncio.Event(), timeout=0.05, retry_limit=1)
        async with field.running(workflow):
            task = await field.run(workflow)
        assert task.error["work"]["type"] == "Timeout"

    field.play(scenario)


def test_a_lost_connection_costs_nothing(field: Field):
    """Both connections are cut while a step runs: it is finished once and reported once."""

    async def scenario() -> None:
        may_end = asyncio.Event()
        workflow, begun = waiting_workflow(may_end)
        await field.client.register(workflow)
        task_id = await field.client.start(workflow)
        await field.client.close()
        async with field.running(workflow):
            await begun.wait()
            for pid in field.connections():
                field.db.run("select pg_terminate_backend(%s, 5000)", pid)
            may_end.set()
            task = await field.client.wait(task_id, timeout=PATIENCE)
            steps = await field.client.get_task_steps(task_id)
        assert task.results == {"work": "done"}
        assert steps[0].attempts == 1

    field.play(scenario)


def test_a_runner_that_was_given_up_registers_again(field: Field):
    """Its claims are gone, its handlers are cancelled, and it goes on under a new id."""

    async def scenario() -> None:
        may_end = asyncio.Event()
        workflow, begun = waiting_workflow(may_end)
        await field.client.register(workflow)
        task_id = await field.client.start(workflow)
        async with field.running(workflow):
            await begun.wait()
            begun.clear()
            (runner,) = await field.client.list_runners()
            field.db.call("deregister_runner", runner_id=runner.runner_id)
            await begun.wait()
            may_end.set()
            task = await field.client.wait(task_id, timeout=PATIENCE)
        assert task.state == "complete"
        assert len(await field.client.list_runners()) == 2

    field.play(scenario)


def test_a_cancelled_task_cancels_its_handlers(field: Field):
    """The runner learns it with a heartbeat, stops the handler and discards its result."""
    field.db.call("set_setting", name="lease", value="1 s")

    async def scenario() -> None:
        cancelled = asyncio.Event()
        begun = asyncio.Event()
        workflow = Workflow("long")

        @workflow.step
        async def work() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        await field.client.register(workflow)
        task_id = await field.client.start(workflow)
        async with field.running(workflow):
            await begun.wait()
            await field.client.cancel_task(task_id)
            async with asyncio.timeout(PATIENCE):
                await cancelled.wait()
        assert (await field.client.get_task(task_id)).state == "cancelled"

    field.play(scenario)


def test_stopping_lets_what_runs_finish(field: Field):
    """Within the grace period; nothing new is begun, and the runner is deregistered."""

    async def scenario() -> None:
        may_end = asyncio.Event()
        workflow, begun = waiting_workflow(may_end)

        @workflow.step
        def afterwards(work: str) -> str:
            return work

        await field.client.register(workflow)
        task_id = await field.client.start(workflow)
        async with field.running(workflow) as runner:
            await begun.wait()
            runner.stop()
            may_end.set()
        steps = {step.name: step for step in await field.client.get_task_steps(task_id)}
        assert {name: step.state for name, step in steps.items()} == {
            "work": "complete",
            "afterwards": "pending",
        }
        assert [runner.state for runner in await field.client.list_runners()] == ["deregistered"]

    field.play(scenario)


@pytest.mark.parametrize("hurried", [False, True])
def test_stopping_releases_what_does_not_finish(field: Field, hurried: bool):
    """After the grace period, or at once if told twice; the attempt does not count."""

    async def scenario() -> None:
        workflow, begun = waiting_workflow(asyncio.Event())
        await field.client.register(workflow)
        task_id = await field.client.start(workflow)
        async with field.running(workflow, grace=3600 if hurried else 0.01) as runner:
            await begun.wait()
            runner.stop()
            if hurried:
                runner.stop()
        (step,) = await field.client.get_task_steps(task_id)
        assert (step.state, step.attempts) == ("pending", 0)

    field.play(scenario)


def limited_workflow(gate: asyncio.Event) -> Workflow:
    """A workflow of one step that runs once at a time, until the gate is open."""
    workflow = Workflow("limited")

    @workflow.step(concurrency=1, timeout=60)
    async def work() -> None:
        await gate.wait()

    return workflow


@pytest.mark.newest_only
def test_a_step_that_is_held_does_not_time_out_in_the_database(field: Field):
    """Its time there begins with its handler."""
    held = "select count(*) from _held_claims where timeout_at > clock() + interval '300 days'"
    begun = "select count(*) from _held_claims where timeout_at < clock() + interval '70 s'"

    async def scenario() -> None:
        gate = asyncio.Event()
        workflow = limited_workflow(gate)
        await field.client.register(workflow)
        tasks = [await field.client.start(workflow) for _ in range(3)]
        async with field.running(workflow):
            await field.until(lambda: (field.db.one(begun), field.db.one(held)) == (1, 2))
            gate.set()
            for task_id in tasks:
                assert (await field.client.wait(task_id, timeout=PATIENCE)).state == "complete"

    field.play(scenario)


@pytest.mark.newest_only
def test_steps_that_are_held_go_back_at_once_when_the_runner_stops(field: Field):
    """Without using up an attempt; what has begun may finish."""
    states = "select state, attempts from workflow_steps order by workflow_step_id"

    async def scenario() -> None:
        gate = asyncio.Event()
        workflow = limited_workflow(gate)
        await field.client.register(workflow)
        for _ in range(3):
            await field.client.start(workflow)
        async with field.running(workflow, grace=3600) as runner:
            await field.until(lambda: runner.health().running == 3)
            runner.stop()
            await field.until(
                lambda: (
                    field.db.rows(states) == [("in_progress", 1), ("pending", 0), ("pending", 0)]
                )
            )
            gate.set()
        assert field.db.rows(states)[0] == ("complete", 1)

    field.play(scenario)


def test_a_step_whose_handler_is_unknown_goes_back(field: Field):
    """With a delay, and without using up an attempt: another runner may know it."""
    field.db.define("known->unknown")
    workflow = Workflow("flow")
    workflow.step(name="known")(lambda: None)

    async def scenario() -> None:
        task_id = field.db.start()
        async with field.running(workflow, register=False):
            await field.until(lambda: field.db.step(task_id, "unknown").due_at)
        step = field.db.step(task_id, "unknown")
        assert (step.state, step.attempts) == ("pending", 0)

    field.play(scenario)


def test_a_handler_extends_its_attempt_and_tells_its_progress(field: Field):
    """Both are in the database while the handler still runs."""

    async def scenario() -> None:
        may_end = asyncio.Event()
        workflow = Workflow("long")

        @workflow.step(timeout=1)
        async def work(step: AsyncStep) -> None:
            await step.extend(timeout=3600, progress={"percent": 10})
            await may_end.wait()

        await field.client.register(workflow)
        task_id = await field.client.start(workflow)
        async with field.running(workflow):
            await field.until(lambda: field.db.step(task_id, "work").progress == {"percent": 10})
            may_end.set()
            assert (await field.client.wait(task_id, timeout=PATIENCE)).state == "complete"

    field.play(scenario)


def test_a_result_that_is_too_large_fails_alone(field: Field):
    """Its step fails for good and says so; the others of the batch count."""
    workflow = Workflow("large")
    workflow.step(name="large")(lambda: "x" * 2_000_000)
    workflow.step(name="small")(lambda: "x")

    async def scenario() -> None:
        async with field.running(workflow):
            task = await field.run(workflow)
        steps = {step.name: step for step in await field.client.get_task_steps(task.task_id)}
        assert {name: step.state for name, step in steps.items()} == {
            "large": "error",
            "small": "complete",
        }
        assert steps["large"].attempts == 1

    field.play(scenario)


def test_a_runner_without_an_install_ends_with_one_clear_line(empty_dsn: str):
    """There is nothing to wait for: a person must install first."""
    workflow = Workflow("flow")
    workflow.step(name="work")(lambda: None)
    with pytest.raises(NotInstalled, match='schema "pgtasker" does not exist: install pgtasker'):
        asyncio.run(Runner(empty_dsn, [workflow], schema="pgtasker").run())


def test_work_that_is_announced_begins_at_once(field: Field):
    """An idle runner is woken; it does not find the task by its poll."""
    field.db.call("set_setting", name="poll_interval", value="60 s")
    workflow = Workflow("flow")
    workflow.step(name="work")(lambda: None)

    async def scenario() -> None:
        async with field.running(workflow):
            sleeping = "select bool_and(waiting_until > clock()) from list_runners()"
            await field.until(lambda: field.db.one(sleeping))
            loop = asyncio.get_running_loop()
            begun = loop.time()
            assert (await field.run(workflow)).state == "complete"
            assert loop.time() - begun < 5

    field.play(scenario)
