"""The clients against a real database: whose transaction it is, what is answered and refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

import psycopg
import pydantic
import pytest
from psycopg.types.string import TextLoader

from pgtasker import (
    AsyncClient,
    Client,
    ConfigurationError,
    IdempotencyConflict,
    InvalidContext,
    RunnerExpired,
    UnknownWorkflow,
    Workflow,
    rows,
    surface,
)

from ..support.databases import Database
from ..support.session import Session

NOBODY = 999_999_999


@pytest.fixture
def client(database: Database) -> Iterator[Client]:
    """A client with a connection of its own, in the time of the test."""
    with Client(database.session_dsn("client"), schema=database.schema) as client:
        with client._connected() as connection:
            connection.execute("select set_config('pgtasker.clock', %s, false)", [database.clock])
        yield client


@pytest.fixture
def flow(client: Client) -> Workflow:
    """A registered workflow a -> b, whose b is skippable."""
    workflow = Workflow("flow", namespace="shop", version="1.2.0")
    workflow.step(name="a")(lambda context: None)
    workflow.step(name="b", skippable=True)(lambda a: None)
    client.register(workflow)
    return workflow


def test_a_task_is_started_and_looked_at(client: Client, flow: Workflow):
    """What was given comes back as typed rows."""
    task_id = client.start(flow, {"n": 1}, tags=["vip"], priority=7, initiator="ann")
    task = client.get_task(task_id)
    assert (task.namespace, task.name, task.version) == ("shop", "flow", "1.2.0")
    assert (task.state, task.context, task.tags) == ("pending", {"n": 1}, ["vip"])
    assert (task.priority, task.initiator, task.at_rest) == (7, "ann", False)
    assert [(step.name, step.depends_on) for step in client.get_task_steps(task_id)] == [
        ("a", []),
        ("b", ["a"]),
    ]
    (first, *_) = client.get_task_steps(task_id)
    assert client.explain_step(first.workflow_step_id)[0].reason in ("ready", "no_runner")
    assert client.list_queues()[0].depth == 1
    assert client.check_consistency() == []


def test_how_a_task_and_its_steps_stand(client: Client, flow: Workflow):
    """As a whole, and step by step, all or some of them."""
    task_id = client.start(flow)
    a, b = client.get_step_readiness_status(task_id)
    assert (a.name, a.ready_for_execution, a.attempts) == ("a", True, 0)
    assert (b.name, b.dependencies_satisfied, b.total_parents) == ("b", False, 1)
    assert client.get_step_readiness_status(task_id, [b.workflow_step_id]) == [b]
    context = client.get_task_execution_context(task_id)
    assert (context.status, context.total_steps, context.ready_steps) == ("pending", 2, 1)
    assert (context.execution_status, context.waiting_reason) == ("has_ready_steps", "runner")


def test_many_workflows_are_registered_all_or_none(client: Client, flow: Workflow):
    """Workflows and documents alike; the ids are in the order given."""
    documents = [{"name": name, "steps": [{"name": "a"}]} for name in ("z", "m", "b")]
    ids = client.register_many([documents[0], flow, *documents[1:]])
    assert ids == [client.register(each) for each in (documents[0], flow, *documents[1:])]
    assert client.register_many([]) == []
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="no steps"):
        client.register_many([{"name": "first", "steps": [{"name": "a"}]}, {"name": "second"}])
    with pytest.raises(UnknownWorkflow, match="first"):
        client.start("first")
    with pytest.raises(psycopg.errors.DuplicateObject, match="shop/flow"):
        client.register_many([{**flow.definition(), "description": "x"}], replace=False)


def test_a_workflow_is_named_in_several_ways(client: Client, flow: Workflow):
    """By itself, by NAMESPACE/NAME, or by a name and a namespace."""
    for task_id in (
        client.start(flow),
        client.start("shop/flow"),
        client.start("flow", namespace="shop", version="1.2.0"),
    ):
        assert client.get_task(task_id).version == "1.2.0"
    with pytest.raises(UnknownWorkflow, match="flow"):
        client.start("flow")


def test_many_tasks_keep_the_order_of_their_contexts(client: Client, flow: Workflow):
    """Ids and contexts correspond; keys may be given for some."""
    contexts = [{"n": n} for n in range(5)]
    task_ids = client.start_many(flow, contexts, idempotency_keys=["k", None, None, None, None])
    assert [client.get_task(task_id).context for task_id in task_ids] == contexts
    assert client.start(flow, {"n": 0}, idempotency_key="k") == task_ids[0]


@dataclass
class Order:
    """A context."""

    order_id: int
    lines: list[str]


class Parcel(pydantic.BaseModel):
    """Another."""

    weight: float


def test_a_context_that_does_not_fit_is_refused_before_it_is_sent():
    """There is not even a server; the error names every place."""
    shop = Workflow("shop")

    @shop.step
    def charge(context: Order) -> None: ...

    client = Client("host=/nowhere")
    with pytest.raises(InvalidContext, match=r"context\.order_id .*; context\.lines\[1\] "):
        client.start(shop, {"order_id": "x", "lines": ["a", 1]})
    with pytest.raises(InvalidContext, match=r"context\.order_id is missing"):
        client.start(shop)
    with pytest.raises(InvalidContext, match=r"context\.lines is missing"):
        client.start_many(shop, [Order(1, []), {"order_id": 2}])


def test_an_instance_is_a_context(client: Client, flow: Workflow):
    """Of a dataclass or a pydantic model, whichever way the workflow is named."""
    order, parcel = Order(7, ["a"]), Parcel(weight=1.5)
    expected = [{"order_id": 7, "lines": ["a"]}, {"weight": 1.5}]
    for workflow in (flow, "shop/flow"):
        task_ids = client.start_many(workflow, [order, parcel])
        task_ids += [client.start(workflow, order), client.start(workflow, parcel)]
        assert [client.get_task(task_id).context for task_id in task_ids] == expected * 2


def test_a_key_with_other_content_names_the_task_that_has_it(client: Client, flow: Workflow):
    """The conflict's task_id is the existing task."""
    task_id = client.start(flow, {"n": 1}, idempotency_key="k")
    with pytest.raises(IdempotencyConflict) as caught:
        client.start(flow, {"n": 2}, idempotency_key="k")
    assert caught.value.task_id == task_id


def test_the_list_is_filtered_and_newest_first(client: Client, flow: Workflow):
    """Every filter given must match."""
    first, second = client.start(flow, tags=["a"]), client.start(flow, tags=["a", "b"])
    client.pause_task(first)
    assert [task.task_id for task in client.list_tasks()] == [second, first]
    assert [task.task_id for task in client.list_tasks(tag="b", name="flow")] == [second]
    assert client.list_tasks(namespace="default") == []
    assert [task.task_id for task in client.list_tasks(state="pending", limit=1)] == [second]


def test_verbs_are_in_the_log_with_actor_and_reason(client: Client, flow: Workflow):
    """Pause, resume, cancel, skip and resolve do what they say."""
    task_id = client.start(flow)
    a, b = client.get_task_steps(task_id)
    client.pause_task(task_id, reason="lunch", actor="ann")
    assert client.get_task(task_id).paused
    assert (client.get_task_history(task_id)[-1].reason) == "lunch"
    assert (client.get_task_history(task_id)[-1].actor) == "ann"
    client.resume_task(task_id)
    client.skip_step(b.workflow_step_id)
    client.resolve_step(a.workflow_step_id, {"by": "hand"})
    task = client.get_task(task_id)
    assert (task.state, task.at_rest) == ("complete", True)
    client.pause_queue("default")
    assert client.list_queues()[0].paused
    client.resume_queue("default")
    other = client.start(flow)
    client.cancel_task(other)
    assert client.wait(other, timeout=0).state == "cancelled"


def test_a_failed_task_is_retried_or_resolved(client: Client, flow: Workflow, db: Session):
    """retry_task, retry_step and resolve_task bring a task in error to rest or back to work."""
    task_id = client.start(flow)
    for again in (
        lambda: client.retry_task(task_id),
        lambda: client.retry_step(client.get_task_steps(task_id)[0].workflow_step_id),
        lambda: client.resolve_task(task_id),
    ):
        db.break_step("a")
        assert client.wait(task_id, timeout=0).state == "error"
        again()
    assert client.get_task(task_id).state == "resolved_manually"


def test_waiting_ends_with_its_timeout(client: Client, flow: Workflow):
    """The error says in which state the task still is."""
    task_id = client.start(flow)
    with pytest.raises(TimeoutError, match=f"task {task_id} is still pending after 0 s"):
        client.wait(task_id, timeout=0)


def test_everything_joins_the_callers_transaction(database: Database, flow: Workflow):
    """Given a connection, nothing is committed: what is rolled back was never started."""
    with psycopg.connect(database.dsn) as connection:
        joined = Client(connection, schema=database.schema)
        task_id = joined.start(flow)
        assert joined.get_task(task_id).state == "pending"
        with pytest.raises(ConfigurationError, match="commit it first"):
            joined.wait(task_id)
        connection.rollback()
        joined.close()
        assert not connection.closed
        assert joined.list_tasks() == []


def test_an_error_leaves_the_transaction_to_the_caller(database: Database):
    """The caller's savepoint works as with any other statement."""
    with psycopg.connect(database.dsn) as connection:
        joined = Client(connection, schema=database.schema)
        with pytest.raises(UnknownWorkflow), connection.transaction():
            joined.start("nothing")
        assert joined.list_tasks() == []


def test_other_errors_are_those_of_the_database(client: Client):
    """An unknown id is no_data_found, with the hint of the engine."""
    with pytest.raises(psycopg.errors.NoDataFound) as caught:
        client.get_task(NOBODY)
    assert caught.value.diag.message_hint
    with pytest.raises(RunnerExpired):
        client.call(surface.heartbeat(NOBODY, None))


def test_the_asynchronous_client_does_the_same(database: Database, flow: Workflow):
    """Also inside the caller's asynchronous transaction."""

    async def scenario() -> None:
        async with await psycopg.AsyncConnection.connect(database.dsn) as connection:
            joined = AsyncClient(connection, schema=database.schema)
            task_id = await joined.start(flow)
            assert (await joined.get_task(task_id)).state == "pending"
            await connection.rollback()
            assert await joined.list_tasks() == []
        async with AsyncClient(database.dsn, schema=database.schema) as client:
            assert await client.list_tasks() == []

    asyncio.run(scenario())


def test_json_is_read_whatever_the_connection_makes_of_it(database: Database, flow: Workflow):
    """Django's connections, for one, leave jsonb as text."""

    async def scenario() -> None:
        async with await psycopg.AsyncConnection.connect(database.dsn) as connection:
            connection.adapters.register_loader("jsonb", TextLoader)
            joined = AsyncClient(connection, schema=database.schema)
            task_id = await joined.start(flow, {"order": 1})
            assert (await joined.get_task(task_id)).context == {"order": 1}

    with psycopg.connect(database.dsn) as connection:
        connection.adapters.register_loader("jsonb", TextLoader)
        joined = Client(connection, schema=database.schema)
        assert joined.get_task(joined.start(flow, {"order": 1})).context == {"order": 1}
        [row] = connection.execute("select '{}'::jsonb").fetchall()
        assert row == ("{}",)
    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("relation", "row_class"),
    [
        ("get_task(task_id => 1)", rows.Task),
        ("get_task_steps(task_id => 1)", rows.TaskStep),
        ("get_task_history(task_id => 1)", rows.HistoryEntry),
        ("task_list", rows.TaskListEntry),
        ("get_step_readiness_status(task_id => 1)", rows.StepReadinessStatus),
        ("step_readiness_statuses", rows.StepReadinessStatus),
        ("get_task_execution_context(task_id => 1)", rows.TaskExecutionContext),
        ("task_execution_contexts", rows.TaskExecutionContext),
        ("list_runners()", rows.RunnerRow),
        ("list_queues()", rows.QueueRow),
        ("explain_step(workflow_step_id => 1)", rows.Explanation),
        ("check_consistency()", rows.Violation),
        ("claim_steps(runner_id => 1, max_steps => 1)", rows.ClaimedStep),
    ],
)
def test_a_row_has_the_columns_of_what_it_is_read_from(
    db: Session, relation: str, row_class: type[Any]
):
    """Field by field, in order: neither side knows a column that the other does not."""
    columns = db.conn.execute(f"select * from {relation} where false").description or []
    assert [column.name for column in columns] == [field.name for field in fields(row_class)]


def test_a_setting_that_is_a_time_is_read_in_seconds(client: Client):
    """Whatever unit it is written in."""
    client.set_setting("lease", "2 minutes")
    assert client.call(surface.setting_seconds("lease")) == 120
    assert client.get_setting("lease") == "2 minutes"
    assert timedelta(seconds=client.call(surface.maintain())) < timedelta(minutes=2)
