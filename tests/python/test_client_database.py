"""What a client may be given as its database, and whose transaction its calls are."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg_pool import (
    AsyncConnectionPool,
    AsyncNullConnectionPool,
    ConnectionPool,
    NullConnectionPool,
    PoolTimeout,
)

from pgtasker import AsyncClient, Client, ConfigurationError, UnknownWorkflow

from ..support.databases import Database
from ..support.session import Session

pytestmark = pytest.mark.newest_only


@pytest.fixture
def pool(database: Database) -> Iterator[ConnectionPool]:
    """A pool of one connection."""
    with ConnectionPool(database.session_dsn("pool"), min_size=1, max_size=1, open=True) as pool:
        yield pool


@pytest.fixture
def flow(db: Session) -> str:
    """A registered workflow."""
    return db.define("a->b")


def tasks(db: Session) -> int:
    return int(db.one("select count(*) from task_list"))


def test_each_call_borrows_a_connection_of_the_pool(
    db: Session, database: Database, pool: ConnectionPool, flow: str
):
    """In a transaction of its own: what it did is committed, and the connection is back."""
    client = Client(pool, schema=database.schema)
    task_id = client.start(flow)
    assert db.state_of(task_id) == "pending"
    assert client.get_task(task_id).state == "pending"
    with pool.connection(timeout=0.1) as connection:
        assert connection.info.transaction_status == TransactionStatus.IDLE
    client.close()
    assert not pool.closed


def test_an_error_leaves_the_pool_healthy(database: Database, pool: ConnectionPool, flow: str):
    """The same connection serves the next call."""
    client = Client(pool, schema=database.schema)
    pids = set()
    for _ in range(2):
        with pytest.raises(UnknownWorkflow):
            client.start("nothing")
        with client._connected() as connection:
            pids.add(connection.info.backend_pid)
    client.start(flow)
    assert len(pids) == 1
    assert pool.get_stats()["pool_available"] == 1


def test_an_exhausted_pool_is_said_to_be(database: Database, pool: ConnectionPool):
    """As psycopg_pool says it; the client works again when a connection is free."""
    pool.timeout = 0.05
    client = Client(pool, schema=database.schema)
    with pool.connection(), pytest.raises(PoolTimeout, match=r"couldn't get a connection after"):
        client.list_tasks()
    assert client.list_tasks() == []


def test_a_pool_without_idle_connections_serves(database: Database, flow: str):
    """A NullConnectionPool opens one for each call."""
    with NullConnectionPool(database.dsn, open=True) as pool:
        client = Client(pool, schema=database.schema)
        assert client.get_task(client.start(flow)).name == flow


@pytest.mark.parametrize("kind", [AsyncConnectionPool, AsyncNullConnectionPool])
def test_an_asynchronous_client_takes_an_asynchronous_pool(
    db: Session, database: Database, flow: str, kind: type[AsyncConnectionPool]
):
    """Concurrent calls share its connections."""

    async def scenario() -> None:
        async with kind(database.dsn, min_size=0, max_size=2) as pool:
            client = AsyncClient(pool, schema=database.schema)
            await asyncio.gather(*(client.start(flow) for _ in range(8)))
            with pytest.raises(UnknownWorkflow):
                await client.start("nothing")
            assert len(await client.list_tasks()) == 8

    asyncio.run(scenario())
    assert tasks(db) == 8


def test_a_pool_may_be_opened_later(database: Database):
    """The client refuses calls until then, and again when it is closed."""
    pool = ConnectionPool(database.dsn, min_size=1, name="late", open=False)
    client = Client(pool, schema=database.schema)
    with pytest.raises(ConfigurationError, match="the pool 'late' is not open"):
        client.list_tasks()
    with pool:
        assert client.list_tasks() == []
    with pytest.raises(ConfigurationError, match="the pool 'late' is not open"):
        client.list_tasks()
    with pytest.raises(ConfigurationError, match="the pool 'late' is not open"):
        Client(pool)


def test_what_was_started_in_a_transaction_is_there_when_it_is_committed(
    db: Session, database: Database, pool: ConnectionPool, flow: str
):
    """Rolled back, it never was; also with a connection that was borrowed from a pool."""
    for commit in (False, True):
        with pool.connection() as connection:
            joined = Client(connection, schema=database.schema)
            joined.start(flow)
            joined.start_many(flow, [{}, {}])
            joined.close()
            assert tasks(db) == 0
            if not commit:
                connection.rollback()
    assert tasks(db) == 3


def test_a_joined_transaction_may_be_a_savepoint(db: Session, database: Database, flow: str):
    """What is around it stays."""
    with psycopg.connect(database.dsn) as connection:
        client = Client(connection, schema=database.schema)
        client.start(flow)
        with connection.transaction(force_rollback=True):
            client.start(flow)
    assert tasks(db) == 1


def test_what_is_closed_is_refused_at_once(database: Database):
    """Not at the first call."""
    connection = psycopg.connect(database.dsn)
    connection.close()
    with pytest.raises(ConfigurationError, match="the connection is closed: give an open one"):
        Client(connection)


def test_the_other_kind_is_refused_at_once(database: Database):
    """The error names the client to use."""

    async def scenario() -> None:
        async with (
            await psycopg.AsyncConnection.connect(database.dsn) as connection,
            AsyncConnectionPool(database.dsn, min_size=0, max_size=1) as pool,
        ):
            for given, name in ((connection, "AsyncConnection"), (pool, "AsyncConnectionPool")):
                with pytest.raises(
                    ConfigurationError, match=f"Client cannot use a {name}: give it to AsyncClient"
                ):
                    Client(given)  # type: ignore[arg-type]

    asyncio.run(scenario())
    with (
        psycopg.connect(database.dsn) as connection,
        ConnectionPool(database.dsn, min_size=0, max_size=1, open=True) as pool,
    ):
        for given, name in ((connection, "Connection"), (pool, "ConnectionPool")):
            with pytest.raises(
                ConfigurationError, match=f"AsyncClient cannot use a {name}: give it to Client"
            ):
                AsyncClient(given)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [7, b"dbname=x", object(), {"host": "x"}])
def test_anything_else_is_refused_at_once(given: Any):
    """The error says what to give."""
    with pytest.raises(
        ConfigurationError, match=r"cannot use builtins\.\w+: give it a DSN, a psycopg connection"
    ):
        Client(given)


def test_whoever_has_no_pool_needs_no_psycopg_pool():
    """It is not imported by the client."""
    program = (
        "import sys, pgtasker; pgtasker.Client('dbname=x');assert 'psycopg_pool' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
