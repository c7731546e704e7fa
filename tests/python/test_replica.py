"""Reading from a replica: what goes there, what never does, and what happens while it is away.

A second database stands for the replica: what is read from it differs from the primary, so that it
shows where an answer comes from. A port on which nobody listens stands for one that is away.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from pgtasker import AsyncClient, Client, ConfigurationError, NotInstalled
from pgtasker.clients import async_reading, reading

from ..support.databases import Database
from ..support.session import Session

pytestmark = pytest.mark.newest_only


@pytest.fixture
def replica(own_database: Database, db: Session) -> Database:
    """A database with a task more than the primary: task 1 is in both, task 2 only there."""
    for session in (db, own_database.main):
        session.define("a->b", name="in both")
        session.start("in both")
    own_database.main.start("in both", tags=["replica"])
    return own_database


@pytest.fixture
def client(database: Database, replica: Database) -> Iterator[Client]:
    """A client that reads from the replica."""
    with connected(database, replica.session_dsn("replica")) as client:
        yield client


@pytest.fixture
def nowhere() -> Iterator[str]:
    """A DSN where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # not listening: refused at once
        yield f"host=127.0.0.1 port={bound.getsockname()[1]} dbname=x"


def connected(database: Database, replica: Any) -> Client:
    return Client(database.session_dsn("primary"), schema=database.schema, replica=replica)


def listed(client: Client) -> list[int]:
    """The tasks that the client sees: [2, 1] on the replica, [1] on the primary."""
    return [task.task_id for task in client.list_tasks()]


def test_what_only_reads_is_read_from_the_replica(client: Client):
    """Tasks, lists, queries, graphs and figures."""
    assert listed(client) == [2, 1]
    assert client.get_task(2).tags == ["replica"]
    assert len(client.get_task_steps(2)) == 2
    assert client.execution_contexts.active().count() == 2
    assert [context.task_id for context in client.execution_contexts] == [1, 2]
    assert client.workflow_summaries.for_task(2).exists()
    assert len(client.step_dag_relationships(2)) == 2
    assert client.list_queues()[0].depth == 2
    assert client.get_task_execution_context(2).ready_steps == 1
    assert len(client.get_step_readiness_status_batch([1, 2])) == 4


def test_what_writes_waits_or_describes_the_server_is_done_on_the_primary(
    client: Client, db: Session
):
    """Starting, operating, settings, waiting; health, metrics and explanations."""
    task_id = client.start("in both")
    assert db.state_of(task_id) == "pending"
    assert client.get_task(task_id).tags == ["replica"]  # the same id, read there
    client.cancel_task(task_id)
    assert client.wait(task_id, timeout=10).state == "cancelled"
    assert client.get_system_health_counts().cancelled_tasks == 1
    client.set_setting("lease", "77 s")
    assert client.get_setting("lease") == "77 s"
    assert client.check_consistency() == []
    assert client.explain_step(1)
    assert client.monitoring_metrics()


def test_what_the_replica_does_not_have_yet_is_read_from_the_primary(client: Client, db: Session):
    """A task that was just started is found; the replica is asked again for the next."""
    db.define("x")
    for _ in range(3):
        task_id = db.start()
    assert client.get_task(task_id).name == "flow"
    assert listed(client) == [2, 1]
    with pytest.raises(psycopg.errors.NoDataFound):
        client.get_task(999)


def test_a_replica_that_is_away_is_replaced_and_tried_again_later(
    database: Database, replica: Database, nowhere: str, monkeypatch: pytest.MonkeyPatch
):
    """Everything is read from the primary meanwhile, without a look at it each time."""
    opened = []
    connect = psycopg.Connection.connect.__func__  # type: ignore[attr-defined]

    def counted(cls: Any, conninfo: str, **parameters: Any) -> Any:
        opened.append(parameters.get("connect_timeout"))
        return connect(cls, conninfo, **parameters)

    monkeypatch.setattr(psycopg.Connection, "connect", classmethod(counted))
    now = 1000.0
    monkeypatch.setattr(reading.time, "monotonic", lambda: now)
    with connected(database, nowhere) as client:
        assert listed(client) == [1]
        assert client.execution_contexts.count() == 1
        assert opened == [3, None]  # hurried to the replica, then to the primary; never again
        now += reading.ABSENCE - 1
        assert listed(client) == [1]
        assert opened == [3, None]
        now += 2
        assert listed(client) == [1]
        assert opened == [3, None, 3]


def test_a_replica_that_comes_back_is_read_again(
    client: Client, replica: Database, monkeypatch: pytest.MonkeyPatch
):
    """After its connection broke, and a while."""
    now = 1000.0
    monkeypatch.setattr(reading.time, "monotonic", lambda: now)
    assert listed(client) == [2, 1]
    assert replica.main.one(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where application_name = 'replica' and datname = current_database()"
    )
    assert listed(client) == [1]
    now += reading.ABSENCE + 1
    assert listed(client) == [2, 1]


def test_a_conflict_on_the_replica_is_settled_by_the_primary(
    client: Client, monkeypatch: pytest.MonkeyPatch
):
    """That query only: the replica answers the next one."""
    replica = client._reading._replica
    assert replica is not None
    call = replica.call

    def conflicting(asked: Any) -> Any:
        raise psycopg.errors.SerializationFailure("canceling statement due to conflict")

    monkeypatch.setattr(replica, "call", conflicting)
    assert listed(client) == [1]
    monkeypatch.setattr(replica, "call", call)
    assert listed(client) == [2, 1]


def test_a_mistake_is_no_absence(client: Client, database: Database, empty_dsn: str):
    """What the database refuses is told, also by a replica; a wrong one is not passed over."""
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="max_rows"):
        client.get_slowest_steps(max_rows=0)
    assert listed(client) == [2, 1]
    with connected(database, empty_dsn) as wrong:
        with pytest.raises(NotInstalled, match=r"^on the replica: "):
            listed(wrong)
        with pytest.raises(NotInstalled, match=r"^on the replica: "):
            list(wrong.step_readiness)
    with connected(database, "port=abc nonsense") as wrong, pytest.raises(ConfigurationError):
        listed(wrong)


def test_an_iteration_goes_on_without_the_replica(
    client: Client, db: Session, replica: Database, monkeypatch: pytest.MonkeyPatch
):
    """Where it was: each row is read once."""
    monkeypatch.setattr("pgtasker.queries.fetching.ROWS", 1)
    monkeypatch.setattr("pgtasker.queries.fetching.PLACES", 1)
    db.start("in both")
    db.start("in both")
    seen = []
    for context in client.execution_contexts:
        seen.append(context.task_id)
        if context.task_id == 2:
            replica.main.run(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where application_name = 'replica' and datname = current_database()"
            )
    assert seen == [1, 2, 3]


def test_the_environment_names_a_replica(
    database: Database, replica: Database, monkeypatch: pytest.MonkeyPatch
):
    """For a client that finds its database there, too, and is not told another one, or none."""
    dsn = database.session_dsn("primary")
    monkeypatch.setenv("PGTASKER_DSN", dsn)
    monkeypatch.setenv("PGTASKER_REPLICA_DSN", replica.session_dsn("replica"))
    with Client(schema=database.schema) as client:
        assert listed(client) == [2, 1]
    with Client(schema=database.schema, replica="") as client:
        assert listed(client) == [1]
    with Client(dsn, schema=database.schema) as client:
        assert listed(client) == [1]
    with (
        psycopg.connect(dsn) as connection,
        ConnectionPool(dsn, min_size=1, max_size=1, open=True) as pool,
    ):
        assert listed(Client(connection, schema=database.schema)) == [1]
        assert listed(Client(pool, schema=database.schema)) == [1]
    monkeypatch.setenv("PGTASKER_REPLICA_DSN", "")
    with Client(schema=database.schema) as client:
        assert listed(client) == [1]


def test_inside_a_transaction_of_the_caller_nothing_is_read_elsewhere(
    database: Database, replica: Database
):
    """What was written there is seen; outside of it, a replica that was given is read."""
    with psycopg.connect(database.session_dsn("joined")) as connection:
        joined = Client(connection, schema=database.schema, replica=replica.session_dsn("replica"))
        assert listed(joined) == [2, 1]
        task_id = joined.start("in both", tags=["new"])
        assert joined.get_task(task_id).tags == ["new"]
        assert listed(joined) == [task_id, 1]
        connection.rollback()
        assert listed(joined) == [2, 1]
        joined.close()
        assert not connection.closed


def test_a_replica_may_be_a_pool(database: Database, replica: Database):
    """Which the client leaves open."""
    with ConnectionPool(replica.session_dsn("replica"), min_size=1, max_size=1) as pool:
        with connected(database, pool) as client:
            assert listed(client) == [2, 1]
        assert not pool.closed


def test_the_asynchronous_client_reads_there_too(
    database: Database, replica: Database, nowhere: str
):
    """And falls back as well."""

    async def seen(dsn: str) -> list[int]:
        primary = database.session_dsn("primary")
        async with AsyncClient(primary, schema=database.schema, replica=dsn) as client:
            listed = [task.task_id for task in await client.list_tasks()]
            queried = [row.task_id async for row in client.execution_contexts]
            assert sorted(listed) == queried
            return listed

    assert asyncio.run(seen(replica.session_dsn("replica"))) == [2, 1]
    assert asyncio.run(seen(nowhere)) == [1]
    assert async_reading.ABSENCE == reading.ABSENCE


def test_no_password_of_a_replica_is_told(database: Database, nowhere: str):
    """Not even when primary and replica are both away."""
    secret = "open-sesame-42"
    dsn = make_conninfo(nowhere, password=secret)
    with (
        Client(nowhere, schema=database.schema, replica=dsn) as client,
        pytest.raises(psycopg.OperationalError) as caught,
    ):
        client.list_tasks()
    told: BaseException | None = caught.value
    while told is not None:
        assert secret not in str(told)
        told = told.__cause__ or told.__context__
