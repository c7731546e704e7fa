"""How a runner waits for work, and when one pass is over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from pgtasker import (
    ConfigurationError,
    EventDriven,
    Polling,
    RetryableError,
    Runner,
    Step,
    UntilEmpty,
    Workflow,
    surface,
)
from pgtasker.runner.coordination import SHORT_PAUSES, Rhythm

from ..support.databases import Database
from .field import PATIENCE, Field


def test_a_full_answer_is_followed_at_once():
    """A runner that got all it asked for looks again as soon as it has room."""
    rhythm = Rhythm(EventDriven())
    rhythm.answered(10.0, asked=5, got=5)
    assert rhythm.seconds(10.0) == 0


def test_an_idle_runner_looks_again_after_short_growing_pauses():
    """Then it relies on being woken and on the poll."""
    rhythm = Rhythm(EventDriven())
    for pause in (*SHORT_PAUSES, 5.0, 5.0):
        rhythm.answered(10.0, asked=5, got=0)
        assert 0.8 * pause <= rhythm.seconds(10.0) <= pause + 1e-9


def test_a_wake_up_starts_the_short_pauses_anew():
    """Work that was announced may still be on its way."""
    rhythm = Rhythm(EventDriven())
    for _ in range(6):
        rhythm.answered(10.0, asked=5, got=0)
    rhythm.wake()
    assert rhythm.seconds(10.0) == 0
    rhythm.answered(10.0, asked=5, got=0)
    assert rhythm.seconds(10.0) <= SHORT_PAUSES[0] + 1e-9


def test_a_wake_up_during_a_look_is_not_lost():
    """The look may have missed what was announced: the next one follows at once, and only one."""
    rhythm = Rhythm(EventDriven())
    rhythm.asked()
    rhythm.wake()
    rhythm.answered(10.0, asked=5, got=0)
    assert rhythm.seconds(10.0) == 0
    rhythm.asked()
    rhythm.answered(10.0, asked=5, got=0)
    assert rhythm.seconds(10.0) > 0


def test_polling_looks_at_its_interval_and_does_not_listen():
    """However often it looked in vain, and whatever the install's interval."""
    polling = Polling(0.25)
    assert not polling.listens
    assert [polling.pause(fruitless, 60.0) for fruitless in (0, 5)] == [0.25, 0.25]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_an_interval_is_a_positive_number(seconds: float):
    """Anything else is refused where it is given; to wait for nothing is allowed."""
    with pytest.raises(ConfigurationError, match="interval must be a positive number"):
        Polling(seconds)
    if seconds == 0:
        assert UntilEmpty(seconds).patience == 0
    else:
        with pytest.raises(ConfigurationError, match="wait must be a number of seconds"):
            UntilEmpty(seconds)


# Against a database.

live = pytest.mark.newest_only  # what is tested is the runner


@pytest.fixture
def field(database: Database) -> Iterator[Field]:
    """The worker's database, for a runner that logs nothing."""
    with capture_logs():
        yield Field(database)


async def one_pass(field: Field, workflow: Workflow, wait: float = 0, **options: Any) -> None:
    """A runner that makes one pass and ends by itself."""
    runner = Runner(
        field.database.dsn,
        [workflow],
        schema=field.database.schema,
        coordination=UntilEmpty(wait),
        **options,
    )
    async with asyncio.timeout(PATIENCE):
        await runner.run()


def states(field: Field, task_id: int) -> dict[str, str]:
    """The states of the steps of a task, by name."""
    return {step.name: step.state for step in field.db.call("get_task_steps", task_id=task_id)}


def chain(**options: Any) -> Workflow:
    """A workflow `chain` of three steps."""
    workflow = Workflow("chain")
    workflow.step(name="a", **options)(lambda: 1)
    workflow.step(name="b")(lambda a: a)
    workflow.step(name="c")(lambda b: b)
    return workflow


@live
def test_a_polling_runner_executes_what_comes_and_never_listens(
    field: Field, monkeypatch: pytest.MonkeyPatch
):
    """It finds a task by itself."""
    asked: list[int] = []
    monkeypatch.setattr(surface, "wake_up_channel", asked.append)

    async def scenario() -> None:
        async with field.running(chain(), coordination=Polling(0.05)):
            assert (await field.run(chain())).state == "complete"

    field.play(scenario)
    assert asked == []
    (runner,) = field.db.call("list_runners")
    assert runner.metadata["listens"] is False


@live
def test_one_pass_runs_what_is_ready_and_what_follows_and_ends(field: Field):
    """And an empty database ends it at once."""

    async def scenario() -> None:
        workflow = chain()
        await one_pass(field, workflow)
        task_ids = [await field.client.start(workflow) for _ in range(3)]
        await one_pass(field, workflow, concurrency=2)
        for task_id in task_ids:
            assert set(states(field, task_id).values()) == {"complete"}
        assert {row.state for row in field.db.call("list_runners")} == {"deregistered"}

    field.play(scenario)


@live
def test_one_pass_waits_for_what_comes_due_soon_enough(field: Field):
    """A retry within the time given belongs to it; one beyond does not."""

    def flaky(context: Any, step: Step) -> None:
        if step.attempt == 1:
            raise RetryableError("not yet", retry_after=context["delay"])

    async def scenario() -> None:
        workflow = Workflow("flow")
        workflow.step(name="work")(flaky)
        await field.client.register(workflow)
        soon, later = [
            await field.client.start(workflow, {"delay": delay}) for delay in (0.2, 3600)
        ]
        await one_pass(field, workflow, 60.0)
        assert states(field, soon) == {"work": "complete"}
        assert states(field, later) == {"work": "error"}

    field.play(scenario)


@live
def test_one_pass_does_not_wait_for_what_comes_due_later(field: Field):
    """Nor for a queue that is paused, nor for one that is not its own."""

    async def scenario() -> None:
        workflow = chain(queue="own")
        await field.client.register(workflow)
        later = field.db.one("select clock() + interval '1 hour'")
        tasks = [await field.client.start(workflow, run_at=later)]
        await one_pass(field, workflow, 5.0, queues=["own"])
        tasks.append(await field.client.start(workflow))
        await one_pass(field, workflow, 5.0, queues=["default"])
        await field.client.pause_queue("own")
        await one_pass(field, workflow, 5.0)
        for task_id in tasks:
            assert set(states(field, task_id).values()) == {"pending"}

    field.play(scenario)


@live
def test_one_pass_ends_while_another_runner_holds_a_parent(field: Field):
    """What that one holds, and what comes after it, belongs to that one."""

    async def scenario() -> None:
        workflow = chain()
        await field.client.register(workflow)
        task_id = await field.client.start(workflow)
        other = field.database.connect("other")
        (held,) = other.claim(1, other.register())
        await one_pass(field, workflow, 5.0)
        assert states(field, task_id) == {"a": "in_progress", "b": "pending", "c": "pending"}
        other.complete(held, 1)
        await one_pass(field, workflow)
        assert states(field, task_id)["c"] == "complete"

    field.play(scenario)


@live
def test_one_pass_looks_again_for_what_it_only_just_cannot_claim(field: Field):
    """A ready step whose row somebody else has locked keeps it from ending."""

    async def scenario() -> None:
        workflow = Workflow("flow")
        workflow.step(name="work")(lambda: None)
        await field.client.register(workflow)
        task_id = await field.client.start(workflow)
        other = field.database.connect("other")
        other.begin()
        other.run("select from workflow_steps for update")
        running = asyncio.create_task(one_pass(field, workflow))
        looks = "select count(*) > 0 from list_runners() where waiting_until is not null"
        await field.until(lambda: field.db.one(looks))
        other.rollback()
        await running
        assert states(field, task_id) == {"work": "complete"}

    field.play(scenario)


@live
def test_a_strategy_of_ones_own_is_three_members(field: Field):
    """The runner asks for nothing else."""
    paused: list[tuple[int, float]] = []

    class Impatient:
        listens = False
        patience: float | None = None

        def pause(self, fruitless: int, poll_interval: float) -> float:
            paused.append((fruitless, poll_interval))
            return 0.01

    async def scenario() -> None:
        async with field.running(chain(), coordination=Impatient()):
            await field.until(lambda: len(paused) >= 3)

    field.play(scenario)
    assert paused[:3] == [(0, 5.0), (1, 5.0), (2, 5.0)]
