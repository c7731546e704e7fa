"""Graphs, figures and lists by way of the clients: what is sent, and what comes back as rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pgtasker import AsyncClient, Client, rows

from ..functions.rollups import roll_up
from ..support.databases import Database
from ..support.session import Session
from .mixed_work import Kind

NOBODY = 999_999_999


@pytest.fixture
def client(database: Database) -> Iterator[Client]:
    """A client in the time of the test."""
    with Client(database.session_dsn("client"), schema=database.schema) as client:
        in_time(client, database)
        yield client


def in_time(client: Client, database: Database) -> None:
    with client._connected() as connection:
        connection.execute("select set_config('pgtasker.clock', %s, false)", [database.clock])


@pytest.fixture
def past(db: Session, database: Database, client: Client) -> list[int]:
    """Three tasks of `flow`, of which the last failed, and one of `other` at work.

    Of `flow`, a takes 1 s, b 2 s and c 12 s, one after the other.
    """
    kind = Kind(db, "flow", "a->b a->c b->d c->d", retry_limit=1)
    tasks = []
    for number in range(3):
        tasks.append(kind.start())
        for seconds in (1, 2, 12):
            [step] = kind.claim()
            kind.take(seconds)
            if (number, seconds) == (2, 12):
                db.fail(step)
            else:
                db.complete(step, {"from": step.step_name})
        if number < 2:
            kind.finish()
    other = Kind(db, "other", "x")
    other.start()
    other.claim()
    in_time(client, database)
    return tasks


@pytest.mark.parametrize(
    ("relation", "row_class"),
    [
        ("recent_step_readiness_statuses", rows.StepReadinessStatus),
        ("active_step_readiness_statuses", rows.StepReadinessStatus),
        ("get_step_readiness_status_batch(task_ids => '{}')", rows.StepReadinessStatus),
        ("recent_task_execution_contexts", rows.TaskExecutionContext),
        ("active_task_execution_contexts", rows.TaskExecutionContext),
        ("get_task_execution_context_batch(task_ids => '{}')", rows.TaskExecutionContext),
        ("task_workflow_summaries", rows.TaskWorkflowSummary),
        ("step_dag_relationships", rows.StepRelationships),
        ("calculate_dependency_levels(task_id => 1)", rows.DependencyLevel),
        ("get_step_transitive_dependencies(workflow_step_id => 1)", rows.StepDependency),
        ("get_critical_path(task_id => 1)", rows.CriticalStep),
        ("get_analytics_metrics()", rows.AnalyticsMetrics),
        ("get_slowest_steps()", rows.SlowStep),
        ("get_slowest_tasks()", rows.SlowTask),
        ("get_step_statistics()", rows.StepStatistics),
        ("get_task_statistics()", rows.TaskStatistics),
        ("get_system_health_counts()", rows.SystemHealthCounts),
        ("monitoring_metrics", rows.Metric),
    ],
)
def test_a_row_has_the_columns_of_what_it_is_read_from(
    db: Session, relation: str, row_class: type[Any]
):
    """Field by field, in order: neither side knows a column that the other does not."""
    columns = db.conn.execute(f"select * from {relation} where false").description or []
    assert [column.name for column in columns] == [field.name for field in fields(row_class)]


def test_the_graph_of_a_task(client: Client, past: list[int]):
    """Where each step stands, what it waits for, and which of them took the time."""
    task = past[0]
    ids = {step.name: step.workflow_step_id for step in client.get_task_steps(task)}
    a, b, c, d = client.step_dag_relationships(task)
    assert [step.name for step in (a, b, c, d)] == ["a", "b", "c", "d"]
    assert (a.is_root_step, a.parent_step_ids, a.child_step_ids) == (True, [], [ids["b"], ids["c"]])
    assert (d.is_leaf_step, d.parent_count, d.dependency_level) == (True, 2, 2)
    levels = client.calculate_dependency_levels(task)
    assert {level.name: level.dependency_level for level in levels} == {
        "a": 0, "b": 1, "c": 1, "d": 2
    }  # fmt: skip
    needed = client.get_step_transitive_dependencies(ids["d"])
    assert [(step.name, step.distance) for step in needed] == [("b", 1), ("c", 1), ("a", 2)]
    assert needed[0].results == {"from": "b"}
    path = client.get_critical_path(task)
    assert [(step.place, step.name) for step in path] == [(1, "a"), (2, "c"), (3, "d")]
    assert path[1].run_seconds == 12
    assert (path[1].wait_seconds, path[1].share) == (2, pytest.approx(14 / 15))


def test_several_tasks_at_once(client: Client, past: list[int]):
    """As one by one; what does not exist is left out."""
    asked = [past[2], NOBODY, past[0]]
    contexts = client.get_task_execution_context_batch(asked)
    expected = [client.get_task_execution_context(task) for task in (past[0], past[2])]
    assert sorted(contexts, key=lambda context: context.task_id) == expected
    steps = client.get_step_readiness_status_batch(asked)
    by_id = sorted(steps, key=lambda step: step.workflow_step_id)
    one_by_one = [client.get_step_readiness_status(task) for task in (past[0], past[2])]
    assert by_id == [step for steps in one_by_one for step in steps]
    assert client.get_task_execution_context_batch([]) == []


def test_what_was_done(client: Client, db: Session, database: Database, past: list[int]):
    """In the last hour, or since a time."""
    done = client.get_analytics_metrics()
    assert done.is_exact
    assert (done.created_tasks, done.completed_tasks, done.failed_tasks) == (4, 2, 1)
    assert (done.attempts, done.completed_steps, done.failed_attempts) == (11, 10, 1)
    assert done.error_rate == pytest.approx(1 / 11)
    assert done.run_seconds_p99 == 12
    since = db.call("clock") - timedelta(seconds=20)
    assert client.get_analytics_metrics(since).completed_tasks == 1
    db.move_clock(1)
    in_time(client, database)
    nothing = client.get_analytics_metrics(db.call("clock"))
    assert (nothing.attempts, nothing.error_rate, nothing.run_seconds_p50) == (0, None, None)


def test_what_was_slow(client: Client, db: Session, past: list[int]):
    """The slowest first, of all or of one workflow."""
    steps = client.get_slowest_steps(max_rows=4)
    assert [(step.step_name, step.run_seconds) for step in steps] == [
        ("c", 12), ("c", 12), ("c", 12), ("b", 2)
    ]  # fmt: skip
    assert steps[0].task_id in past
    assert client.get_slowest_steps(name="other") == []
    assert client.get_slowest_steps(namespace="default", name="flow", max_rows=4) == steps
    assert client.get_slowest_steps(db.call("clock") - timedelta(seconds=10)) != steps
    tasks = client.get_slowest_tasks(name="flow")
    assert {task.task_id for task in tasks} <= set(past)
    assert tasks[0].total_seconds == 15
    assert client.get_slowest_tasks(namespace="nowhere") == []
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="max_rows"):
        client.get_slowest_steps(max_rows=0)


def test_statistics_by_name(client: Client, past: list[int]):
    """One row for each step, or for each workflow."""
    steps = {step.step_name: step for step in client.get_step_statistics(name="flow")}
    assert set(steps) == {"a", "b", "c", "d"}
    assert (steps["c"].attempts, steps["c"].errors) == (3, 1)
    assert (steps["c"].error_rate, steps["c"].run_seconds_p95) == (pytest.approx(1 / 3), 12)
    assert client.get_step_statistics(namespace="nowhere") == []
    [flow] = client.get_task_statistics(name="flow")
    assert (flow.created, flow.completed, flow.failed) == (3, 2, 1)
    assert flow.total_seconds_p50 == 15


def test_how_the_install_stands(client: Client, db: Session, past: list[int]):
    """In numbers for a person, and as metrics for a monitoring system, in order of their names."""
    health = client.get_system_health_counts()
    assert (health.total_tasks, health.complete_tasks, health.error_tasks) == (4, 2, 1)
    assert (health.in_progress_steps, health.exhausted_steps) == (1, 1)
    assert health.connections <= health.max_connections
    roll_up(db)  # counters are what was counted so far
    metrics = client.monitoring_metrics()
    assert [metric.name for metric in metrics] == sorted(metric.name for metric in metrics)
    assert {metric.kind for metric in metrics} == {"gauge", "counter"}
    finished = {
        metric.labels["state"]: metric.value
        for metric in metrics
        if metric.name == "pgtasker_tasks_finished_total" and metric.labels["workflow"] == "flow"
    }
    assert finished["complete"] == 2


def test_the_list_is_narrowed(client: Client, db: Session, past: list[int]):
    """By several states, by whether tasks are over, by age, and page by page."""

    def listed(**filters: Any) -> list[int]:
        return [task.task_id for task in client.list_tasks(**filters)]

    first, second, third = past
    other = third + 1
    assert listed() == [other, third, second, first]
    assert listed(state=["complete", "error"]) == [third, second, first]
    assert listed(state="error") == [third]
    assert listed(state=[]) == []
    assert listed(active=True) == [other, third]
    assert listed(active=False) == [second, first]
    assert listed(created_since=db.call("clock") - timedelta(seconds=20)) == [other, third]
    assert listed(limit=2) == [other, third]
    assert listed(limit=2, before_task_id=third) == [second, first]
    assert listed(active=True, state="error", name="flow", before_task_id=other) == [third]


def test_the_asynchronous_client_answers_the_same(
    client: Client, database: Database, past: list[int]
):
    """Every method that looks, by the same words."""
    step = client.get_task_steps(past[0])[-1].workflow_step_id
    asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("step_dag_relationships", (past[0],), {}),
        ("calculate_dependency_levels", (past[0],), {}),
        ("get_step_transitive_dependencies", (step,), {}),
        ("get_critical_path", (past[0],), {}),
        ("get_step_readiness_status_batch", (past,), {}),
        ("get_task_execution_context_batch", (past,), {}),
        ("get_analytics_metrics", (), {}),
        ("get_slowest_steps", (), {"max_rows": 2}),
        ("get_slowest_tasks", (), {"name": "flow"}),
        ("get_step_statistics", (), {}),
        ("get_task_statistics", (), {"namespace": "default"}),
        ("list_tasks", (), {"active": True}),
    ]

    async def scenario() -> None:
        async with AsyncClient(database.session_dsn("async"), schema=database.schema) as awaited:
            async with awaited._connected() as connection:
                await connection.execute(
                    "select set_config('pgtasker.clock', %s, false)", [database.clock]
                )
            for name, arguments, options in asked:
                answer = getattr(client, name)(*arguments, **options)
                assert await getattr(awaited, name)(*arguments, **options) == answer, name
                assert answer
            assert (await awaited.get_system_health_counts()).total_tasks == 4
            assert await awaited.monitoring_metrics()

    asyncio.run(scenario())
