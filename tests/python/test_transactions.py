"""Handlers that write in the transaction of their completion: both are committed, or neither."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from structlog.testing import capture_logs

from pgtasker import AsyncStep, ClaimLost, Client, ConfigurationError, Runner, Step, Workflow
from pgtasker.rows import Json, Task, TaskStep
from pgtasker.runner import Polling
from pgtasker.runner.pools import Pools

from ..support.databases import Database
from . import process_steps
from .field import PATIENCE, Field

WRITE = "insert into effects values (%s, %s)"
HANGING = "select pg_sleep(60)"
MODULES = {"coroutine": "async_transactions", "thread": "transactions"}


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """What runners log, instead of printing it."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def field(own_database: Database) -> Field:
    """A database with a table of an application, for a runner."""
    own_database.main.run("create table public.effects (workflow_step_id bigint, note text)")
    return Field(own_database)


@pytest.fixture(params=["coroutine", "thread"])
def kind(request: pytest.FixtureRequest) -> str:
    """Whether the handler is a coroutine function or a plain one."""
    return str(request.param)


def writing(kind: str, then: Any = None, **options: Any) -> Workflow:
    """A workflow of one step, which writes the number of its attempt in the transaction of its
    completion, and returns what `then` makes of the step and the connection.
    """
    workflow = Workflow("writing")

    async def in_coroutine(step: AsyncStep) -> Any:
        connection = await step.connection()
        await connection.execute(WRITE, [step.workflow_step_id, f"attempt {step.attempt}"])
        answer = then(step, connection) if then else None
        return await answer if asyncio.iscoroutine(answer) else answer

    def in_thread(step: Step) -> Any:
        connection = step.connection()
        connection.execute(WRITE, [step.workflow_step_id, f"attempt {step.attempt}"])
        return then(step, connection) if then else None

    options = {"backoff": {"base": 0.01, "max": 0.01}, **options}
    workflow.step(name="work", **options)(in_coroutine if kind == "coroutine" else in_thread)
    return workflow


def effects(field: Field) -> list[str]:
    """What handlers have written, as others see it."""
    return field.db.column("select note from public.effects order by note")


async def outcome(field: Field, flow: Workflow, **options: Any) -> tuple[Task, TaskStep]:
    """A task of the workflow when it is at rest, and its step."""
    async with field.running(flow, **options):
        task = await field.run(flow)
        [step] = await field.client.get_task_steps(task.task_id)
    return task, step


def test_writes_are_committed_with_the_completion(field: Field, kind: str):
    """Until the handler returns nobody sees them; then both are there."""
    seen: list[list[str]] = []

    def look(step: Any, connection: Any) -> str:
        seen.append(effects(field))
        return "done"

    async def scenario() -> None:
        task, _ = await outcome(field, writing(kind, look))
        assert (task.state, task.results) == ("complete", {"work": "done"})

    field.play(scenario)
    assert (seen, effects(field)) == ([[]], ["attempt 1"])


def test_it_is_one_transaction_in_the_log_too(field: Field, kind: str):
    """The row of the log and that of the application bear the same transaction id."""
    field.play(lambda: outcome(field, writing(kind)))
    log = field.db.one(
        "select xmin::text from workflow_step_transitions where to_state = 'complete'"
    )
    assert field.db.one("select xmin::text from public.effects") == log


def test_what_a_handler_that_raises_has_written_is_undone(field: Field, kind: str):
    """Each attempt begins anew; only the writes of the one that returned stay."""

    def fail_first(step: Any, connection: Any) -> None:
        if step.attempt == 1:
            raise ValueError("not yet")

    async def scenario() -> None:
        task, step = await outcome(field, writing(kind, fail_first))
        assert (task.state, step.attempts) == ("complete", 2)

    field.play(scenario)
    assert effects(field) == ["attempt 2"]


def test_a_step_asks_once_for_all(field: Field, kind: str):
    """A second call gives the same connection, in the same transaction."""

    def ask_again(step: Any, connection: Any) -> Any:
        if kind == "thread":
            return step.connection() is connection

        async def again() -> bool:
            return await step.connection() is connection

        return again()

    async def scenario() -> None:
        task, _ = await outcome(field, writing(kind, ask_again))
        assert task.results == {"work": True}

    field.play(scenario)


def test_what_follows_begins_at_once(field: Field, kind: str):
    """Although the runner reported nothing that could have brought it: it looks."""
    flow = writing(kind)

    @flow.step
    def after(work: Any) -> str:
        return "after"

    async def scenario() -> None:
        await field.client.register(flow)
        task_id = await field.client.start(flow)
        async with field.running(flow, coordination=Polling(interval=3600)):
            task = await field.client.wait(task_id, timeout=PATIENCE)
        assert task.results == {"after": "after"}

    field.play(scenario)


# What the transaction of a completion refuses.


@pytest.mark.parametrize("method", ["commit", "rollback"])
def test_it_cannot_be_ended_by_a_method(field: Field, kind: str, method: str):
    """The handler is told, and its attempt fails."""

    def end(step: Any, connection: Any) -> Any:
        return getattr(connection, method)()

    async def scenario() -> None:
        _, step = await outcome(field, writing(kind, end, retry_limit=1))
        assert step.state == "error"
        assert "forbidden within a Transaction" in step.error["message"]

    field.play(scenario)
    assert effects(field) == []


def test_a_transaction_that_was_ended_by_hand_fails_the_step_for_good(field: Field, kind: str):
    """Another attempt would write again what is committed already."""

    def end(step: Any, connection: Any) -> Any:
        if kind == "thread":
            connection.execute("commit")
            return None

        async def awaited() -> None:
            await connection.execute("commit")

        return awaited()

    async def scenario() -> None:
        _, step = await outcome(field, writing(kind, end))
        assert (step.state, step.attempts) == ("error", 1)
        assert "ended the transaction" in step.error["message"]

    field.play(scenario)


def test_savepoints_are_the_handlers_own(field: Field, kind: str):
    """What fails inside one leaves the rest."""

    def attempt(step: Any, connection: Any) -> Any:
        if kind == "thread":
            with pytest.raises(psycopg.errors.DivisionByZero), connection.transaction():
                connection.execute("select 1 / 0")
            return None

        async def awaited() -> None:
            with pytest.raises(psycopg.errors.DivisionByZero):
                async with connection.transaction():
                    await connection.execute("select 1 / 0")

        return awaited()

    async def scenario() -> None:
        task, _ = await outcome(field, writing(kind, attempt))
        assert task.state == "complete"

    field.play(scenario)
    assert effects(field) == ["attempt 1"]


def test_what_fails_at_the_commit_fails_the_attempt(field: Field, kind: str):
    """As a deferred constraint does: the step is not complete without its writes."""
    field.db.run(
        "alter table public.effects add constraint once unique (note) deferrable initially deferred"
    )
    field.db.run("insert into public.effects values (0, 'attempt 1')")

    async def scenario() -> None:
        task, step = await outcome(field, writing(kind))
        assert (task.state, step.attempts) == ("complete", 2)
        history = await field.client.get_task_history(task.task_id)
        [error] = [entry.error for entry in history if entry.to_state == "error"]
        assert error["type"] == "UniqueViolation"

    field.play(scenario)
    assert effects(field) == ["attempt 1", "attempt 2"]


def test_results_that_are_too_large_undo_the_writes(field: Field, kind: str):
    """And fail the step for good, as without a transaction."""
    field.db.call("set_setting", name="payload_limit", value="2000")

    async def scenario() -> None:
        _, step = await outcome(field, writing(kind, lambda *_: "x" * 3000))
        assert (step.state, step.attempts) == ("error", 1)
        assert "more than the limit of 2000" in step.error["message"]

    field.play(scenario)
    assert effects(field) == []


# Attempts that no longer count.


def test_a_claim_that_is_lost_undoes_the_writes(field: Field, kind: str, logged: list[Any]):
    """The database knows it first: the completion is refused, and so is all that goes with it."""

    def cancel(step: Any, connection: Any) -> None:
        field.db.call("cancel_task", task_id=step.task_id)

    async def scenario() -> None:
        task, step = await outcome(field, writing(kind, cancel))
        assert (task.state, step.state) == ("cancelled", "cancelled")
        await field.until(lambda: "claim lost" in [entry["event"] for entry in logged])

    field.play(scenario)
    assert effects(field) == []
    assert "step failed" not in [entry["event"] for entry in logged]


def hang(kind: str, begun: threading.Event) -> Any:
    """Says that it began, then lets the database sleep."""

    def in_thread(step: Any, connection: Any) -> None:
        begun.set()
        connection.execute(HANGING)

    async def in_coroutine(step: Any, connection: Any) -> None:
        begun.set()
        await connection.execute(HANGING)

    return in_thread if kind == "thread" else in_coroutine


def hanging(field: Field) -> int:
    """How many sessions sleep in a transaction of a handler."""
    return int(field.db.one("select count(*) from pg_stat_activity where query = %s", HANGING))


def test_an_attempt_that_times_out_lets_go_of_its_locks(field: Field, kind: str):
    """Also one in a thread, which cannot be stopped: its transaction is."""
    begun = threading.Event()

    async def scenario() -> None:
        flow = writing(kind, hang(kind, begun), timeout=0.2, retry_limit=1)
        async with field.running(flow):
            task = await field.run(flow)
            assert task.error["work"]["type"] == "Timeout"
            await field.until(lambda: not hanging(field))

    field.play(scenario)
    assert begun.is_set()
    assert effects(field) == []


@pytest.mark.parametrize("hurried", [False, True])
def test_a_runner_that_stops_undoes_what_is_not_finished(field: Field, kind: str, hurried: bool):
    """The step goes back, and the attempt does not count."""
    begun = threading.Event()

    async def scenario() -> None:
        flow = writing(kind, hang(kind, begun))
        await field.client.register(flow)
        task_id = await field.client.start(flow)
        async with field.running(flow, grace=60 if hurried else 0.1) as runner:
            await field.until(begun.is_set)
            runner.stop()
            if hurried:
                runner.stop()
        await field.until(lambda: not hanging(field))
        [step] = await field.client.get_task_steps(task_id)
        assert (step.state, step.attempts) == ("pending", 0)

    field.play(scenario)
    assert effects(field) == []


def test_a_heartbeat_decides_nothing_while_the_commit_does(field: Field, kind: str):
    """That the claim is held no longer may be the commit's own doing."""
    locked, ended = threading.Event(), threading.Event()

    def end_in_thread(*_: Any) -> None:
        locked.wait(PATIENCE)
        ended.set()

    async def end_in_coroutine(*_: Any) -> None:
        await field.until(locked.is_set)
        ended.set()

    async def scenario() -> None:
        flow = writing(kind, end_in_coroutine if kind == "coroutine" else end_in_thread)
        await field.client.register(flow)
        task_id = await field.client.start(flow)
        other = field.database.connect("other")
        other.begin()
        [step] = await field.client.get_task_steps(task_id)
        async with field.running(flow) as runner:
            executions = runner._shared.executions
            lock = "select from workflow_steps where workflow_step_id = %s for update"
            await field.until(lambda: executions.open)
            other.run(lock, step.workflow_step_id)
            locked.set()
            await field.until(ended.is_set)
            [claim_id] = executions.claims
            await field.until(lambda: executions._open[claim_id].attempt.is_deciding)
            executions.settle(claim_id, None)
            assert executions.claims == [claim_id]
            other.rollback()
            assert (await field.client.wait(task_id, timeout=PATIENCE)).state == "complete"

    field.play(scenario)
    assert effects(field) == ["attempt 1"]


# Connections.


def test_a_connection_that_dies_undoes_the_writes(field: Field, kind: str):
    """The attempt fails, and the next one has another connection."""

    def die_first(step: Any, connection: Any) -> None:
        if step.attempt == 1:
            pid = connection.info.backend_pid
            field.db.run("select pg_terminate_backend(%s, 5000)", pid)

    async def scenario() -> None:
        task, step = await outcome(field, writing(kind, die_first))
        assert (task.state, step.attempts) == ("complete", 2)

    field.play(scenario)
    assert effects(field) == ["attempt 2"]


def test_a_connection_that_died_between_two_handlers_costs_nothing(field: Field, kind: str):
    """It is noticed before the next one gets it."""
    pids: list[int] = []
    flow = writing(kind, lambda step, connection: pids.append(connection.info.backend_pid))

    async def scenario() -> None:
        async with field.running(flow):
            await field.run(flow)
            field.db.run("select pg_terminate_backend(%s, 5000)", pids[0])
            task = await field.run(flow)
            [step] = await field.client.get_task_steps(task.task_id)
        assert (task.state, step.attempts) == ("complete", 1)

    field.play(scenario)
    assert len(set(pids)) == 2


def test_no_more_connections_are_opened_than_given(field: Field, kind: str):
    """Who comes later waits, and the connection is used again."""
    pids: list[int] = []
    flow = writing(kind, lambda step, connection: pids.append(connection.info.backend_pid))

    async def scenario() -> None:
        await field.client.register(flow)
        tasks = await field.client.start_many(flow, [{} for _ in range(8)])
        async with field.running(flow, transactions=1):
            for task_id in tasks:
                assert (await field.client.wait(task_id, timeout=PATIENCE)).state == "complete"

        await field.until(lambda: pids[0] not in field.connections())

    field.play(scenario)
    assert (len(pids), len(set(pids))) == (8, 1)


def test_what_waits_for_a_connection_can_time_out(field: Field, kind: str):
    """And the place of the one that was waited for is not lost."""
    begun, go_on = threading.Event(), threading.Event()

    def wait(step: Any, connection: Any) -> Any:
        begun.set()
        if kind == "thread":
            go_on.wait(PATIENCE)
            return None
        return asyncio.to_thread(go_on.wait, PATIENCE)

    async def scenario() -> None:
        flow = writing(kind, wait)
        other = writing(kind, lambda *_: None, timeout=0.1, retry_limit=1)
        other.name = "other"
        await field.client.register(flow)
        await field.client.register(other)
        first = await field.client.start(flow)
        async with field.running(flow, other, transactions=1):
            await field.until(begun.is_set)
            late = await field.run(other)
            assert late.error["work"]["type"] == "Timeout"
            go_on.set()
            assert (await field.client.wait(first, timeout=PATIENCE)).state == "complete"
            assert (await field.run(flow)).state == "complete"

    field.play(scenario)


def test_the_next_handler_finds_a_clean_session(field: Field, kind: str):
    """Settings, temporary tables, advisory locks and the form of rows are as at the beginning."""
    found: list[Any] = []
    look = (
        "select current_setting('work_mem'), to_regclass('pg_temp.leftover') is null,"
        " (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),"
        " pg_backend_pid()"
    )
    leave = (
        "set work_mem = '7MB'",
        "create temporary table leftover ()",
        "select pg_advisory_lock(42)",
    )

    def use(step: Any, connection: Any) -> Any:
        if kind == "thread":
            found.append(connection.execute(look).fetchone())
            for statement in leave:
                connection.execute(statement)
            connection.row_factory = dict_row
            return None

        async def awaited() -> None:
            found.append(await (await connection.execute(look)).fetchone())
            for statement in leave:
                await connection.execute(statement)
            connection.row_factory = dict_row

        return awaited()

    async def scenario() -> None:
        flow = writing(kind, use)
        async with field.running(flow):
            await field.run(flow)
            await field.run(flow)

    field.play(scenario)
    assert found[0] == found[1]
    assert found[0][1:3] == (True, 0)


def test_a_database_that_is_full_is_waited_for(field: Field, kind: str, logged: list[Any]):
    """The attempt does not fail because there is no connection now."""
    role = f"late_{field.db.one('select current_database()')}"
    flow = writing(kind)

    async def scenario() -> None:
        await field.client.register(flow)
        async with field.running(flow) as runner:
            runner._shared.executions._pools = Pools(
                make_conninfo(field.database.dsn, user=role), field.database.schema, 1
            )
            task_id = await field.client.start(flow)
            await field.until(lambda: "no connection" in [each["event"] for each in logged])
            field.db.run(f"alter role {role} superuser")  # whom no limit holds
            task = await field.client.wait(task_id, timeout=PATIENCE)
            [step] = await field.client.get_task_steps(task_id)
        assert (task.state, step.attempts) == ("complete", 1)

    field.db.run(f"create role {role} login connection limit 0")
    try:
        field.play(scenario)
    finally:
        field.db.run(f"drop role {role}")


def test_a_server_that_cannot_look_for_its_client_will_do(
    field: Field, kind: str, monkeypatch: pytest.MonkeyPatch
):
    """As one on Windows: the transaction goes on without that."""
    refused = "set local client_connection_check_interval = '-1s'"
    monkeypatch.setattr(f"pgtasker.runner.{MODULES[kind]}.LOOK", refused)

    async def scenario() -> None:
        task, _ = await outcome(field, writing(kind))
        assert task.state == "complete"

    field.play(scenario)
    assert effects(field) == ["attempt 1"]


def test_the_server_looks_for_its_client_and_the_isolation_is_free(field: Field, kind: str):
    """What was set before the handler began stays, and took no snapshot."""
    ask = (
        "select concat_ws(' ', current_setting('client_connection_check_interval'),"
        " current_setting('transaction_isolation'))"
    )
    flow = Workflow("looking")

    async def in_coroutine(step: AsyncStep) -> str:
        connection = await step.connection()
        await connection.execute("set transaction isolation level serializable")
        [answer] = await (await connection.execute(ask)).fetchone() or [""]
        return str(answer)

    def in_thread(step: Step) -> str:
        connection = step.connection()
        connection.execute("set transaction isolation level serializable")
        [answer] = connection.execute(ask).fetchone() or [""]
        return str(answer)

    flow.step(name="work")(in_coroutine if kind == "coroutine" else in_thread)

    async def scenario() -> None:
        task, _ = await outcome(field, flow)
        assert task.results == {"work": "1s serializable"}

    field.play(scenario)


# With what else there is.


def test_a_handler_starts_tasks_in_its_transaction(field: Field):
    """Once for each completion, however often it is attempted."""
    flow, other = Workflow("starting"), Workflow("started")
    schema = field.database.schema

    @flow.step(backoff={"base": 0.01, "max": 0.01})
    def work(step: Step) -> None:
        Client(step.connection(), schema=schema).start(other)
        if step.attempt == 1:
            raise ValueError("not yet")

    @other.step
    def end() -> None: ...

    async def scenario() -> None:
        await field.client.register(other)
        async with field.running(flow, other):
            assert (await field.run(flow)).state == "complete"

    field.play(scenario)
    assert field.db.one("select count(*) from task_list where name = 'started'") == 1


class Base64:
    """A codec that everybody can read."""

    def encode(self, value: Json) -> Json:
        return base64.b64encode(json.dumps(value).encode()).decode()

    def decode(self, value: Json) -> Json:
        assert isinstance(value, str)
        return json.loads(base64.b64decode(value))


def test_results_are_encoded_before_they_are_committed(field: Field, kind: str):
    """As any results of a runner with a codec."""

    async def scenario() -> None:
        await outcome(field, writing(kind, lambda *_: "secret"), codec=Base64())

    field.play(scenario)
    stored = field.db.one("select get_task(min(task_id)) from task_list")
    assert "secret" not in str(stored)
    assert base64.b64encode(b'"secret"').decode() in str(stored)


def test_a_worker_process_has_no_connection(field: Field):
    """It says so, once."""
    flow = Workflow("elsewhere")
    flow.step(executor="process", name="work")(process_steps.ask_for_connection)

    async def scenario() -> None:
        _, step = await outcome(field, flow)
        assert (step.state, step.attempts) == ("error", 1)
        assert "choose the executor thread" in step.error["message"]

    field.play(scenario)


def test_the_connection_ends_with_the_handler(field: Field):
    """Whatever it left behind cannot begin another transaction."""
    left: list[Any] = []
    flow = Workflow("leaving")

    @flow.step
    def work(step: Step) -> None:
        left.append(step.connection)

    async def scenario() -> None:
        await outcome(field, flow)

    field.play(scenario)
    with pytest.raises(ClaimLost):
        left[0]()


def test_a_runner_gives_at_least_one_connection():
    """Refused where the runner is made."""
    with pytest.raises(ConfigurationError, match="transactions must be at least 1, not 0"):
        Runner("", [writing("thread")], transactions=0)
