"""A workflow from its definition to its end, each part by somebody who has the role for it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from pgtasker import AsyncClient, Client, Runner, UntilEmpty, Workflow
from pgtasker.cli import main
from pgtasker.rows import Task

from ..support.databases import Databases
from ..support.session import PATIENCE
from . import installs
from .installs import Install

MODULE = """\
from pgtasker import Workflow

shipped = Workflow("shipped")


@shipped.step
def pack(context):
    return context["order"]


@shipped.step(retry_limit=1)
def ship(pack):
    if pack == 13:
        raise ValueError("no such address")
    return {"parcel": pack}
"""


@pytest.fixture(scope="module")
def install(server: Databases) -> Iterator[Install]:
    """One as applications have it: its clock cannot be moved."""
    made = installs.create(server, testing=False)
    yield made
    made.main.assert_consistent()
    installs.drop(made)


@pytest.fixture(scope="module")
def shipped(install: Install, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of a module with a workflow, which a runner has registered."""
    tmp_path = tmp_path_factory.mktemp("shipped")
    (tmp_path / "shipped_flow.py").write_text(MODULE)
    result = command(install, "runner", "register", str(tmp_path / "shipped_flow.py"))
    assert result.exit_code == 0, result.output
    yield tmp_path
    del sys.modules["shipped_flow"]  # the next server's install brings a file of that name


def command(install: Install, who: str, *arguments: str) -> Result:
    """What the command line answers."""
    given = ["--dsn", install.dsn(who), "--schema", install.schema, *arguments]
    return CliRunner().invoke(main, given, catch_exceptions=False)


def run(install: Install, shipped: Path, who: str = "runner") -> subprocess.CompletedProcess[str]:
    """`pgtasker run`, until there is nothing left to do."""
    environment = {
        **os.environ,
        "PGTASKER_DSN": install.dsn(who),
        "PGTASKER_SCHEMA": install.schema,
    }
    return subprocess.run(
        [sys.executable, "-m", "pgtasker", "run", "shipped_flow", "--coordination", "once"],
        cwd=shipped,
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
    )


def refused(result: Result) -> str:
    """The line of a command that may not do it."""
    assert result.exit_code == 1, result.output
    assert "permission denied" in result.stderr
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_from_definition_to_end(install: Install, shipped: Path):
    """A runner registers and executes, an application starts in its own transaction, a viewer looks
    on, an admin retries and resolves: nobody needs more than the one role."""
    application = install.session("client").conn
    application.execute("create temp table orders (order_id bigint)")
    with application.transaction():
        application.execute("insert into orders values (7)")
        client = Client(application, schema=install.schema)
        kept = client.start("shipped", {"order": 7}, idempotency_key="order 7")
        broken = client.start_many("shipped", [{"order": 13}, {"order": 13}])
    with application.transaction(force_rollback=True):
        undone = client.start("shipped", {"order": 8})
    assert [task.task_id for task in client.list_tasks()] == [*reversed(broken), kept]
    assert undone not in [task.task_id for task in client.list_tasks()]

    done = run(install, shipped)
    assert done.returncode == 0, done.stderr
    assert client.get_task(kept).results == {"ship": {"parcel": 7}}
    assert client.get_task(kept).initiator is None
    assert {client.get_task(task).state for task in broken} == {"error"}

    first, second = (str(task) for task in broken)
    for arguments in (
        ["retry", first, "--reason", "again"],
        ["pause", first],
        ["resume", first],
        ["cancel", first],
        ["resolve", second],
        ["pause", "default"],
        ["resume", "default"],
        ["purge", "--older-than", "30d", "--yes"],
    ):
        refused(command(install, "viewer", *arguments))
        refused(command(install, "client", *arguments))
        refused(command(install, "runner", *arguments))
        result = command(install, "admin", *arguments)
        assert result.exit_code == 0, (arguments, result.output)
    assert {client.get_task(task).state for task in broken} == {"cancelled", "resolved_manually"}
    actors = {entry.actor for entry in client.get_task_history(broken[0])}
    assert install.login("admin") in actors


def test_a_viewer_sees_everything_and_starts_nothing(install: Install, shipped: Path):
    """Each command that reads works for it."""
    with Client(install.dsn("client"), schema=install.schema) as client:
        task = client.start("shipped", {"order": 7})
    for arguments in (
        ["list"],
        ["show", str(task)],
        ["why", f"{task}/ship"],
        ["stats"],
        ["slow"],
        ["top", "--once"],
        ["metrics"],
    ):
        seen = command(install, "viewer", *arguments, "--json")
        assert seen.exit_code == 0, (arguments, seen.output)
        assert json.loads(seen.stdout) is not None
        assert command(install, "viewer", *arguments).exit_code == 0
    assert command(install, "viewer", "diagram", str(task)).exit_code == 0
    refused(command(install, "viewer", "start", "shipped", '{"order": 7}'))
    refused(command(install, "viewer", "register", str(shipped / "shipped_flow.py")))
    refused(command(install, "client", "register", str(shipped / "shipped_flow.py")))
    line = refused(command(install, "stranger", "list"))
    assert "pgtasker doctor" in line


def test_queries_of_every_kind_are_open_to_a_viewer(install: Install, shipped: Path):
    """All that a client can be asked without changing anything."""
    with Client(install.dsn("client"), schema=install.schema) as client:
        task = client.start("shipped", {"order": 7})
    with Client(install.dsn("viewer"), schema=install.schema) as client:
        [ready] = client.step_readiness.active().ready_for_execution().limit(1)
        assert client.execution_contexts.recent().count() > 0
        assert client.workflow_summaries.count() > 0
        for look in (
            client.get_task_steps,
            client.get_task_history,
            client.get_step_readiness_status,
            client.get_task_execution_context,
            client.step_dag_relationships,
            client.calculate_dependency_levels,
            client.get_critical_path,
        ):
            assert look(task) is not None
        assert client.get_step_transitive_dependencies(ready.workflow_step_id) is not None
        assert client.explain_step(ready.workflow_step_id)
        assert client.get_analytics_metrics()
        assert client.get_slowest_steps() is not None
        assert client.get_slowest_tasks() is not None
        assert client.get_step_statistics() is not None
        assert client.get_task_statistics() is not None
        assert client.get_system_health_counts().total_tasks > 0
        assert client.monitoring_metrics()
        assert client.list_runners() is not None
        assert client.list_queues()
        assert client.check_consistency() == []


@pytest.mark.parametrize("who", ["client", "viewer"])
def test_those_who_look_may_wait(install: Install, shipped: Path, who: str):
    """An application is notified of the end; a viewer, which may not ask for that, looks."""
    with Client(install.dsn("client"), schema=install.schema) as client:
        task = client.start("shipped", {"order": 7})
    ended = threading.Event()
    found: list[Any] = []

    def wait() -> None:
        with Client(install.dsn(who), schema=install.schema) as waiting:
            found.append(waiting.wait(task, timeout=PATIENCE))
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    with Client(install.dsn("admin"), schema=install.schema) as operator:
        operator.cancel_task(task)
    assert ended.wait(PATIENCE)
    thread.join()
    assert found[0].state == "cancelled"


def finished(install: Install, workflow: Workflow) -> Task:
    """A task of the workflow, started by an application and executed by a runner."""

    async def scenario() -> Task:
        runner = Runner(install.dsn("runner"), [workflow], schema=install.schema)
        running = asyncio.create_task(runner.run())
        async with AsyncClient(install.dsn("runner"), schema=install.schema) as registering:
            await registering.register(workflow)
        async with AsyncClient(install.dsn("client"), schema=install.schema) as client:
            task = await client.wait(await client.start(workflow), timeout=PATIENCE)
        runner.stop()
        await running
        return task

    return asyncio.run(scenario())


def test_a_runner_executes_retries_and_reports_progress(install: Install):
    """Every call that a runner makes, on its own role: also listening, and its end."""
    workflow = Workflow("short")
    attempts: list[int] = []

    @workflow.step(backoff={"base": 0.01})
    def only(step: Any) -> int:
        attempts.append(step.attempt)
        step.progress({"at": step.attempt})
        if step.attempt == 1:
            raise ValueError("not yet")
        return int(step.attempt)

    assert finished(install, workflow).results == {"only": 2}
    assert attempts == [1, 2]


def test_a_handler_writes_with_the_rights_of_its_runner(install: Install):
    """In the transaction that completes its step: the engine's rights are not there to be used."""
    runner = install.login("runner")
    install.main.run("create table public.effects (task_id bigint, writer text)")
    install.main.run(f"grant insert on public.effects to {runner}")
    workflow = Workflow("exact")

    @workflow.step
    def write(step: Any) -> None:
        connection = step.connection()
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute(f"delete from {install.schema}.tasks")
        connection.execute("insert into public.effects values (%s, current_user)", [step.task_id])

    task = finished(install, workflow)
    assert task.state == "complete", task.error
    assert install.main.rows("select * from public.effects") == [(task.task_id, runner)]


@pytest.mark.parametrize("who", ["client", "viewer", "stranger"])
def test_whoever_has_another_role_is_no_runner(install: Install, shipped: Path, who: str):
    """It ends at once, with one line that says why."""
    done = run(install, shipped, who)
    assert done.returncode == 1
    assert "permission denied" in done.stderr.splitlines()[-1]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        asyncio.run(
            Runner(
                install.dsn(who),
                [Workflow("short")],
                schema=install.schema,
                register=False,
                coordination=UntilEmpty(),
            ).run()
        )
