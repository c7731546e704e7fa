"""Running tasks to their end: retries, time, transactions, failures, and what cannot go on."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from structlog.contextvars import get_contextvars

from pgtasker import (
    AsyncClient,
    AsyncStep,
    ClaimLost,
    Client,
    InvalidContext,
    PayloadError,
    PermanentError,
    RetryableError,
    Step,
    Workflow,
)
from pgtasker.testing import (
    Clock,
    ConfigurableFailureHandler,
    TaskStuck,
    diamond,
    linear,
    run_all,
    run_task,
    run_workflow,
)

from ..support.databases import Database


@dataclass
class Order:
    """What a workflow may be about."""

    amount: int


pytestmark = pytest.mark.newest_only


def one_step(function: Any, name: str = "flow", **options: Any) -> Workflow:
    """A workflow whose only step is `work`."""
    workflow = Workflow(name)
    workflow.step(name="work", **options)(function)
    return workflow


def started(client: Client, workflow: Workflow, **options: Any) -> int:
    """A task of a workflow that is registered."""
    client.register(workflow)
    return client.start(workflow, **options)


def test_a_retry_is_not_waited_for(client: Client):
    """The clock of the session goes where the retry is due, and is put back in the end."""
    unstable = ConfigurableFailureHandler(2, results="at last")
    task = run_workflow(client, linear(2, handler={"step_1": unstable}))
    assert (task.state, task.results) == ("complete", {"step_2": 1})
    assert [step.attempt for step in unstable.calls] == [1, 2, 3]
    assert task.started_at is not None
    assert task.finished_at is not None
    assert task.finished_at - task.started_at >= timedelta(seconds=3)  # 1 to 2 s and 2 to 4 s
    assert started_now(client)


def test_a_retry_may_come_due_at_any_moment(client: Client):
    """Also between the last look for work and the look at what is due."""
    for milliseconds in range(12):
        handler = ConfigurableFailureHandler(2, retry_after=milliseconds / 1000)
        assert run_workflow(client, linear(1, handler=handler)).complete


def started_now(client: Client) -> bool:
    """Whether the session of the client lives in real time."""
    task = client.get_task(started(client, one_step(lambda: None, "now")))
    return abs(datetime.now(UTC) - task.created_at) < timedelta(seconds=30)


def test_a_task_of_next_year_runs_now(client: Client):
    """It began when it was to begin, whatever a runner's lease is."""
    later = datetime.now(UTC) + timedelta(days=365)
    workflow = diamond()
    task = run_task(client, started(client, workflow, run_at=later), workflow)
    assert (task.state, task.started_at) == ("complete", later)
    assert started_now(client)


def test_other_tasks_are_left_alone(client: Client):
    """No handler of theirs is called and no attempt used up, also not of those before in the queue;
    those behind do not even notice."""
    called = []
    workflow = one_step(lambda context: called.append(context["task"]))
    client.register(workflow)
    tasks = client.start_many(workflow, [{"task": task} for task in (1, 2, 3, 4)])
    run_task(client, tasks[1], workflow)
    assert called == [2]
    for other in (tasks[0], *tasks[2:]):
        [step] = client.get_task_steps(other)
        assert (step.state, step.attempts) == ("pending", 0)
    assert client.get_task(tasks[3]).state == "pending"
    assert [task.state for task in run_all(client, workflow)] == ["complete"] * 3


def test_everything_joins_the_transaction_of_the_caller(client: Client, database: Database):
    """Nothing is committed, with a transaction that was opened and with one that opens itself."""
    workflow = linear(3, handler=ConfigurableFailureHandler(1))
    client.register(workflow)
    for autocommit in (True, False):
        with psycopg.connect(database.dsn, autocommit=autocommit) as connection:
            if autocommit:
                connection.execute("begin")
            joined = Client(connection, schema=database.schema)
            task_id = joined.start(workflow)
            assert run_task(connection, task_id, workflow, schema=database.schema).complete
            connection.rollback()
        assert client.list_tasks() == []


def test_a_dsn_is_enough(client: Client, database: Database):
    """The connection is opened and closed here."""
    workflow = diamond()
    task_id = started(client, workflow)
    assert run_task(database.dsn, task_id, workflow, schema=database.schema).complete


def test_a_pool_lends_a_connection_whose_calls_are_committed(client: Client, database: Database):
    """A handler that takes another connection of the pool sees how far its task is."""

    def work(step: Step) -> str:
        return pooled.get_task(step.task_id).state

    with ConnectionPool(database.dsn, min_size=2, max_size=2) as pool:
        pooled = Client(pool, schema=database.schema)
        assert run_workflow(pooled, one_step(work)).results == {"work": "in_progress"}
        assert run_workflow(pooled, linear(1, handler=ConfigurableFailureHandler(1))).complete
        assert [started_now(pooled) for _ in range(4)] == [True] * 4

    async def scenario() -> Any:
        async with AsyncConnectionPool(database.dsn) as pool:
            return await run_workflow(AsyncClient(pool, schema=database.schema), one_step(work_on))

    def work_on(step: Step) -> str:
        return client.get_task(step.task_id).state

    assert asyncio.run(scenario()).results == {"work": "in_progress"}


def test_handlers_run_in_the_thread_and_the_context_of_the_test(client: Client):
    """Plain functions are called right here, coroutines on one loop for all steps of the task."""
    mark = contextvars.ContextVar("mark", default="unset")
    workflow = Workflow("flow")
    seen: dict[str, Any] = {}

    @workflow.step
    def plain() -> None:
        seen["plain"] = (threading.current_thread(), mark.get())
        seen["bound"] = get_contextvars()["step"]

    @workflow.step
    async def first(plain: Any) -> None:
        seen["first"] = (threading.current_thread(), mark.get())
        seen["bound"] += get_contextvars()["step"]
        seen["loop"] = asyncio.get_running_loop()

    @workflow.step
    async def second(first: Any) -> None:
        assert asyncio.get_running_loop() is seen["loop"]

    mark.set("set")
    assert run_workflow(client, workflow, raise_errors=True).complete
    assert seen["plain"] == seen["first"] == (threading.current_thread(), "set")
    assert seen["bound"] == "plainfirst"  # what handlers log bears the ids
    assert get_contextvars() == {}


def test_it_works_inside_a_running_loop(client: Client):
    """A test that is a coroutine may use a plain client; coroutines then run in another thread."""

    async def work(step: AsyncStep) -> str:
        await step.extend(progress=1)
        return step.name

    async def scenario() -> Any:
        return run_workflow(client, one_step(work), raise_errors=True).results

    assert asyncio.run(scenario()) == {"work": "work"}


def test_with_an_asynchronous_client_it_is_awaited(database: Database):
    """Coroutines run on the loop of the test, plain functions in a thread, as in a runner."""
    workflow = Workflow("flow")
    seen: dict[str, Any] = {}

    @workflow.step
    async def on_loop(step: AsyncStep) -> None:
        await step.extend(timeout=60, progress="half")
        seen["on_loop"] = asyncio.get_running_loop()

    @workflow.step
    def in_thread(on_loop: Any, step: Step) -> str:
        step.extend(progress="half")
        seen["in_thread"] = threading.current_thread()
        return step.name

    async def scenario() -> None:
        async with AsyncClient(database.dsn, schema=database.schema) as client:
            task = await run_workflow(client, workflow, raise_errors=True)
            assert task.results == {"in_thread": "in_thread"}
            assert seen["on_loop"] is asyncio.get_running_loop()
            assert seen["in_thread"] is not threading.current_thread()
            later = datetime.now(UTC) + timedelta(days=1)
            task_id = await client.start(workflow, run_at=later)
            assert [task.state for task in await run_all(client, workflow)] == ["complete"]
        async with await psycopg.AsyncConnection.connect(database.dsn) as connection:
            run = run_task(connection, task_id, workflow, schema=database.schema)
            assert (await run).started_at == later

    asyncio.run(scenario())


def test_what_a_handler_raises_is_kept(client: Client):
    """As by a runner: type, message and traceback are in the step, and the task is in error."""

    def work() -> None:
        raise PermanentError("no such order")

    task = run_workflow(client, one_step(work))
    assert task.state == "error"
    [step] = client.get_task_steps(task.task_id)
    assert (step.error["type"], step.error["message"]) == ("PermanentError", "no such order")
    assert "in work" in step.error["traceback"]


@pytest.mark.parametrize("coroutine", [False, True], ids=["function", "coroutine"])
def test_what_a_handler_raises_can_be_raised_in_the_test(client: Client, coroutine: bool):
    """The exception itself, once the task is in error for it, with the handler in its traceback."""
    calls = []

    def work() -> None:
        calls.append(1)
        raise KeyError("order")

    async def on_loop() -> None:
        work()

    workflow = one_step(on_loop if coroutine else work, retry_limit=2)
    with pytest.raises(KeyError) as raised:
        run_workflow(client, workflow, raise_errors=True)
    assert len(calls) == 2
    assert "work" in [frame.name for frame in traceback.extract_tb(raised.tb)]


def test_a_failure_without_an_exception_is_told(client: Client):
    """A result that is no JSON fails the step, although its handler raised nothing."""
    with pytest.raises(TaskStuck, match=r"work: It failed for good .*cannot be stored as json"):
        run_workflow(client, one_step(lambda: {1, 2}), raise_errors=True)


def test_an_outcome_that_the_database_refuses_fails_the_step(client: Client, database: Database):
    """Also in a transaction of the caller's, which the refusal does not abort."""

    def work() -> None:
        raise RetryableError("next millennium", retry_after=1e12)

    for handler, message in ((work, "the outcome was refused"), (_large, "the payload_limit")):
        with psycopg.connect(database.dsn) as connection:
            task = run_workflow(connection, one_step(handler), schema=database.schema)
        [step] = client.get_task_steps(task.task_id)
        assert (task.state, message in step.error["message"]) == ("error", True)


def _large() -> str:
    return "x" * 2_000_000


def test_a_coroutine_that_takes_too_long_is_a_failed_attempt(client: Client):
    """Its timeout is that of the step, or what it asked for."""

    async def work() -> None:
        await asyncio.Event().wait()

    async def asks(step: AsyncStep) -> str:
        await step.extend(timeout=0.01)
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await work()
        return "it was not ended"

    for workflow in (one_step(work, timeout=0.01), one_step(asks, timeout=3600)):
        task = run_workflow(client, workflow)
        errors = [entry.error for entry in client.get_task_history(task.task_id) if entry.error]
        assert [error["type"] for error in errors] == ["Timeout"] * 3
    with pytest.raises(TimeoutError):
        run_workflow(client, workflow, raise_errors=True)


def test_what_is_no_failure_ends_the_test_and_not_the_step(client: Client):
    """Ctrl-C and pytest.fail go through; the step goes back and no attempt is used up."""
    for interruption in (KeyboardInterrupt, pytest.fail.Exception):
        workflow = one_step(_raising(interruption))
        task_id = started(client, workflow)
        with pytest.raises(interruption):
            run_task(client, task_id, workflow)
        [step] = client.get_task_steps(task_id)
        assert (step.state, step.attempts) == ("pending", 0)


def _raising(error: type[BaseException]) -> Any:
    def work() -> None:
        raise error("enough")

    return work


def test_a_handler_may_take_longer_than_a_lease(client: Client):
    """A person with a debugger does; the runner's end is not that of the attempt."""

    def work(step: Step) -> int:
        Clock(client).move(minutes=10)
        return step.attempt

    task = run_workflow(client, one_step(work), raise_errors=True)
    assert task.results == {"work": 1}
    assert {runner.state for runner in client.list_runners()} == {"deregistered"}
    assert started_now(client)


def test_a_handler_may_cancel_its_own_task(client: Client):
    """Its claim is lost then, which it can learn, and its result is discarded."""

    def work(step: Step) -> str:
        assert not step.cancelled
        client.cancel_task(step.task_id)
        assert step.cancelled
        with pytest.raises(ClaimLost):
            step.heartbeat()
        return "too late"

    task = run_workflow(client, one_step(work), raise_errors=True)
    assert (task.state, task.results) == ("cancelled", {})


def test_types_are_read_and_written_as_by_a_runner(client: Client):
    """A wrong context is refused before there is a task, a wrong result fails its step for good."""
    workflow = Workflow("flow")

    @workflow.step
    def price(context: Order) -> Order:
        return Order(context.amount * 2)

    @workflow.step
    async def double(price: Order) -> Order:
        return Order("much" if price.amount > 10 else price.amount)  # type: ignore[arg-type]

    assert run_workflow(client, workflow, Order(2)).results == {"double": {"amount": 4}}
    assert run_workflow(client, workflow, {"amount": 2}).complete
    with pytest.raises(InvalidContext, match=r"context\.amount"):
        run_workflow(client, workflow, {"amount": "much"})
    assert len(client.list_tasks()) == 2
    with pytest.raises(PayloadError, match=r"double\.amount"):
        run_workflow(client, workflow, Order(6), raise_errors=True)
    [task] = client.list_tasks(state="error")
    assert [step.attempts for step in client.get_task_steps(task.task_id)] == [1, 1]


# Many.


def test_all_open_tasks_run_and_those_that_they_start(client: Client):
    """Tasks come back in the order in which they were started, each in the state it reached."""
    workflow = Workflow("flow")

    @workflow.step(retry_limit=2)
    def work(context: Any, step: Step) -> None:
        if context.get("again"):
            client.start(workflow, {"again": context["again"] - 1})
        if context.get("bad"):
            raise ValueError("bad")

    client.register(workflow)
    given = client.start_many(workflow, [{"again": 2}, {"bad": True}])
    tasks = run_all(client, workflow)
    assert [task.state for task in tasks] == ["complete", "error", "complete", "complete"]
    assert [task.task_id for task in tasks[:2]] == given
    assert run_all(client, workflow) == []
