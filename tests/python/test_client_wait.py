"""Waiting: notified of the end where that is possible, found by a look where it is not."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pgtasker import AsyncClient, Client, ConfigurationError, surface
from pgtasker.clients import async_waiting, waiting
from pgtasker.rows import Task

from ..support.databases import Database
from ..support.session import PATIENCE, Session

T = TypeVar("T")
NAME = "one that waits"  # of its connections, as the server shows it


@pytest.fixture
def db(database: Database) -> Session:
    """The main session in real time: a further connection of a client knows no other."""
    database.set_clock(None)
    database.main.define("a")
    return database.main


@pytest.fixture
def only_notify(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by himself: who learns of an end was notified."""
    for module in (waiting, async_waiting):
        monkeypatch.setattr(module, "SHORTEST_PAUSE", 3600.0)
        monkeypatch.setattr(module, "LONGEST_PAUSE", 3600.0)


def in_thread(act: Callable[[], T]) -> Future[T]:
    """Do it in a thread that does not outlive the tests."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(act())
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def until(condition: Callable[[], Any], say: str) -> None:
    """Wait for it."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, say
        time.sleep(0.005)


def until_watched(db: Session, *tasks: int) -> None:
    watched = "select array_agg(distinct task_id) @> %s::bigint[] from task_watches"
    until(lambda: db.one(watched, list(tasks)), "nobody watches")


def end(db: Session, task: int) -> None:
    db.call("resolve_task" if db.state_of(task) == "error" else "cancel_task", task_id=task)


@contextmanager
def sync_waiter(database: Database, kind: str) -> Iterator[Callable[[int], Task]]:
    """`wait` of a synchronous client."""
    dsn = database.session_dsn(NAME)
    if kind == "dsn":
        with Client(dsn, schema=database.schema) as client:
            yield client.wait
    else:
        with (
            ConnectionPool(dsn, min_size=0, max_size=1, open=True) as pool,
            Client(pool, schema=database.schema) as client,
        ):
            yield client.wait


@contextmanager
def async_waiter(database: Database, kind: str) -> Iterator[Callable[[int], Task]]:
    """`wait` of an asynchronous client, on a loop of its own."""
    dsn = database.session_dsn(NAME)

    async def with_dsn(task: int) -> Task:
        async with AsyncClient(dsn, schema=database.schema) as client:
            return await client.wait(task)

    async def with_pool(task: int) -> Task:
        async with (
            AsyncConnectionPool(dsn, min_size=0, max_size=1) as pool,
            AsyncClient(pool, schema=database.schema) as client,
        ):
            return await client.wait(task)

    yield lambda task: asyncio.run((with_dsn if kind == "dsn" else with_pool)(task))


@pytest.mark.usefixtures("only_notify")
@pytest.mark.parametrize("kind", ["dsn", "pool"])
@pytest.mark.parametrize("waiter", [sync_waiter, async_waiter])
def test_a_wait_is_notified_of_the_end(
    db: Session, database: Database, waiter: Callable[..., Any], kind: str
):
    """Nobody looks: the next look would be in an hour."""
    task = db.start()
    with waiter(database, kind) as wait:
        waited = in_thread(lambda: wait(task))
        until_watched(db, task)
        db.settle(task)
        assert waited.result(timeout=PATIENCE).state == "complete"
    assert db.column("select * from task_watches") == []


@pytest.mark.newest_only
@pytest.mark.parametrize("waiter", [sync_waiter, async_waiter])
def test_a_look_finds_an_end_that_was_not_notified(
    db: Session, database: Database, waiter: Callable[..., Any]
):
    """As through a transaction pooler, or from a session that must not notify."""
    task = db.start()
    with waiter(database, "dsn") as wait:
        waited = in_thread(lambda: wait(task))
        until_watched(db, task)
        db.run("set pgtasker.notify = off")
        db.settle(task)
        assert waited.result(timeout=PATIENCE).state == "complete"


@pytest.mark.newest_only
def test_a_look_finds_an_end_that_was_about_to_commit(db: Session, database: Database):
    """The watch came after the completer looked for one."""
    task = db.start()
    db.begin()
    db.settle(task)
    observer = database.observer
    with sync_waiter(database, "dsn") as wait:
        waited = in_thread(lambda: wait(task))
        until_watched(observer, task)
        db.commit()
        assert waited.result(timeout=PATIENCE).state == "complete"


@pytest.mark.newest_only
def test_what_is_at_rest_is_answered_at_once(db: Session, database: Database):
    """Nothing is watched for it, and no time has to go by."""
    done, failed = db.start(), db.start()
    db.settle(failed, broken=["a"])
    assert db.state_of(done) in ("complete", "error")
    with Client(database.dsn, schema=database.schema) as client:
        assert client.wait(failed, timeout=0).at_rest
        assert [task.task_id for task in client.wait_many([done, failed, done])] == [
            done,
            failed,
            done,
        ]
        assert client.wait_many([], timeout=0) == []
    assert db.column("select * from task_watches") == []


def connections(db: Session) -> list[int]:
    """The server processes of the client that waits."""
    return db.column(
        "select pid from pg_stat_activity where datname = current_database()"
        " and application_name = %s and backend_type = 'client backend' order by 1",
        NAME,
    )


@pytest.mark.newest_only
def test_threads_that_wait_share_one_further_connection(db: Session, database: Database):
    """Whoever looks for the others hands on to the next when its own wait is over."""
    tasks = [db.start() for _ in range(20)]
    with Client(database.session_dsn(NAME), schema=database.schema) as client:
        client.list_queues()
        waits = [in_thread(lambda task=task: client.wait(task)) for task in tasks]
        until_watched(db, *tasks)
        assert len(connections(db)) == 2
        assert db.one("select count(distinct channel) from task_watches") == 1
        for task, wait in zip(tasks, waits, strict=True):
            end(db, task)
            assert wait.result(timeout=PATIENCE).task_id == task
    until(lambda: connections(db) == [], "a connection stays open")


@pytest.mark.newest_only
def test_tasks_of_a_loop_that_wait_share_one_further_connection(db: Session, database: Database):
    """Also when the one who looks is cancelled."""
    tasks = [db.start() for _ in range(20)]

    async def scenario() -> list[Task]:
        async with AsyncClient(database.session_dsn(NAME), schema=database.schema) as client:
            first, *others = [asyncio.create_task(client.wait(task)) for task in tasks]
            await asyncio.to_thread(until_watched, db, *tasks)
            assert len(connections(db)) == 1
            first.cancel()
            for task in reversed(tasks):
                end(db, task)
            found = await asyncio.wait_for(asyncio.gather(*others), PATIENCE)
            with pytest.raises(asyncio.CancelledError):
                await first
            return found

    assert [task.task_id for task in asyncio.run(scenario())] == tasks[1:]


@pytest.mark.newest_only
def test_a_client_waits_on_one_loop_after_the_other(db: Session, database: Database):
    """It keeps to none of them."""
    client = AsyncClient(database.dsn, schema=database.schema)

    async def scenario() -> None:
        tasks = await client.start_many("a_flow", [{}] * 3)
        waits = [asyncio.create_task(client.wait(task)) for task in tasks]
        await asyncio.to_thread(until_watched, db, *tasks)
        for task in tasks:
            end(db, task)
        await asyncio.wait_for(asyncio.gather(*waits), PATIENCE)

    db.define("a", "a_flow")
    asyncio.run(scenario())
    asyncio.run(scenario())
    asyncio.run(client.close())


@pytest.mark.newest_only
def test_all_that_is_due_is_one_look(
    db: Session, database: Database, monkeypatch: pytest.MonkeyPatch
):
    """Waits that began at different times are soon looked after together."""
    looks: list[set[int]] = []
    ask = surface.task_states

    def counted(task_ids: list[int]) -> Any:
        looks.append(set(task_ids))
        return ask(task_ids)

    monkeypatch.setattr(surface, "task_states", counted)
    tasks = [db.start() for _ in range(10)]
    with Client(database.dsn, schema=database.schema) as client:
        waits = []
        for task in tasks:
            waits.append(in_thread(lambda task=task: client.wait(task)))
            until_watched(db, task)
        until(lambda: looks and looks[-1] == set(tasks), "each is looked after alone")
        for task in tasks:
            end(db, task)
        assert {wait.result(timeout=PATIENCE).state for wait in waits} == {"cancelled"}


@pytest.mark.newest_only
@pytest.mark.parametrize("kind", ["dsn", "pool"])
def test_a_wait_outlives_its_connections(db: Session, database: Database, kind: str):
    """They are opened again, and the watch is renewed on the new one."""
    task = db.start()
    with sync_waiter(database, kind) as wait:
        waited = in_thread(lambda: wait(task))
        until_watched(db, task)
        lost = connections(db)
        db.rows("select pg_terminate_backend(pid) from unnest(%s::int[]) as pid", lost)
        until(lambda: set(connections(db)) - set(lost), "no new connection")
        end(db, task)
        assert waited.result(timeout=PATIENCE).state == "cancelled"


@pytest.mark.newest_only
def test_where_nothing_can_listen_looks_are_enough(db: Session, database: Database):
    """A pool whose connections work, and whose address does not."""
    task = db.start()
    with (
        ConnectionPool(database.session_dsn(NAME), min_size=1, max_size=1, open=True) as pool,
        Client(pool, schema=database.schema) as client,
    ):
        pool.wait()
        pool.conninfo = "host=/nowhere"
        with pytest.raises(TimeoutError):
            client.wait(task, timeout=0)
        waited = in_thread(lambda: client.wait(task))
        end(db, task)
        assert waited.result(timeout=PATIENCE).state == "cancelled"


@pytest.mark.newest_only
def test_a_role_that_may_only_look_may_wait(db: Session, database: Database):
    """Watching is refused to it."""
    task = db.start()
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = on")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            Client(connection, schema=database.schema).call(surface.watch_tasks([task], "c"))
    dsn = psycopg.conninfo.make_conninfo(
        database.dsn, options="-c default_transaction_read_only=on", application_name=NAME
    )
    with Client(dsn, schema=database.schema) as client:
        with pytest.raises(TimeoutError):
            client.wait(task, timeout=0)
        waited = in_thread(lambda: client.wait(task))
        end(db, task)
        assert waited.result(timeout=PATIENCE).state == "cancelled"


@pytest.mark.newest_only
@pytest.mark.parametrize("autocommit", [True, False])
def test_a_client_of_a_connection_waits_on_it(db: Session, database: Database, autocommit: bool):
    """It opens none, listens to nothing, and leaves no transaction open."""
    task = db.start()
    with psycopg.connect(database.session_dsn(NAME), autocommit=autocommit) as connection:
        client = Client(connection, schema=database.schema)
        with pytest.raises(TimeoutError, match=f"task {task} is still pending after 0 s"):
            client.wait(task, timeout=0)
        waited = in_thread(lambda: client.wait(task))
        assert len(connections(db)) == 1
        end(db, task)
        assert waited.result(timeout=PATIENCE).state == "cancelled"
        assert connection.info.transaction_status == TransactionStatus.IDLE
        assert db.column("select * from task_watches") == []
        connection.execute("begin" if autocommit else "select 1")
        with pytest.raises(ConfigurationError, match="commit it first"):
            client.wait(task)


@pytest.mark.newest_only
def test_waits_on_one_connection_share_its_looks(db: Session, database: Database):
    """None of them takes the look of another for a transaction of the caller's."""
    tasks = [db.start() for _ in range(5)]

    async def scenario() -> list[Task]:
        async with await psycopg.AsyncConnection.connect(database.dsn) as connection:
            client = AsyncClient(connection, schema=database.schema)
            waits = [asyncio.create_task(client.wait(task)) for task in tasks]
            for task in tasks:
                await asyncio.sleep(0)
                end(db, task)
            return await asyncio.wait_for(asyncio.gather(*waits), PATIENCE)

    assert [task.state for task in asyncio.run(scenario())] == ["cancelled"] * 5


@pytest.mark.newest_only
def test_a_wait_on_a_connection_ends_with_it(db: Session, database: Database):
    """It is not ours to open another."""
    task = db.start()
    connection = psycopg.connect(database.session_dsn(NAME), autocommit=True)
    waited = in_thread(lambda: Client(connection, schema=database.schema).wait(task))
    until(lambda: connections(db), "no connection")
    db.rows("select pg_terminate_backend(pid) from unnest(%s::int[]) as pid", connections(db))
    with pytest.raises((ConfigurationError, psycopg.OperationalError)):
        waited.result(timeout=PATIENCE)


@pytest.mark.newest_only
def test_a_time_limit_names_what_is_still_open(db: Session, database: Database):
    """Of several, how many, and in which state."""
    open_, done = db.start(), db.start()
    end(db, done)
    with Client(database.dsn, schema=database.schema) as client:
        with pytest.raises(TimeoutError, match=f"^task {open_} is still pending after 0.01 s$"):
            client.wait(open_, timeout=0.01)
        with pytest.raises(
            TimeoutError,
            match=f"^1 of 2 tasks are not at rest: task {open_} is still pending after 0 s$",
        ):
            client.wait_many([done, open_], timeout=0)


@pytest.mark.newest_only
def test_an_unknown_task_is_an_error_to_whom_it_concerns(db: Session, database: Database):
    """Others wait on."""
    task = db.start()
    with Client(database.dsn, schema=database.schema) as client:
        waited = in_thread(lambda: client.wait(task))
        until_watched(db, task)
        with pytest.raises(psycopg.errors.NoDataFound, match="unknown task 999"):
            client.wait_many([task, 999], timeout=PATIENCE)
        end(db, task)
        assert waited.result(timeout=PATIENCE).state == "cancelled"


@pytest.mark.newest_only
def test_a_long_wait_renews_its_watch(
    db: Session, database: Database, monkeypatch: pytest.MonkeyPatch
):
    """Before it is over."""
    monkeypatch.setattr(waiting, "RENEWAL", 0.0)
    task = db.start()
    ends_at = "select ends_at from task_watches"
    with Client(database.dsn, schema=database.schema) as client:
        waited = in_thread(lambda: client.wait(task))
        until_watched(db, task)
        first = db.one(ends_at)
        until(lambda: db.one(ends_at) > first, "it is not renewed")
        assert db.one("select count(*) from task_watches") == 1
        end(db, task)
        waited.result(timeout=PATIENCE)


@pytest.mark.newest_only
def test_no_server_is_an_error_at_once(tmp_path: Any):
    """What was never reached is not waited for."""
    with (
        Client(f"host={tmp_path} dbname=x") as client,
        pytest.raises(psycopg.OperationalError, match="No such file or directory"),
    ):
        client.wait(1)


@pytest.mark.newest_only
def test_a_client_of_a_pool_need_not_be_closed(db: Session, database: Database):
    """The connection that it waited on goes with it, without a warning."""
    task = db.start()
    end(db, task)
    with (
        ConnectionPool(database.session_dsn(NAME), min_size=1, max_size=1, open=True) as pool,
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        pool.wait()
        client = Client(pool, schema=database.schema)
        client.wait(task, timeout=PATIENCE)
        assert len(connections(db)) == 2
        del client
        gc.collect()
        until(lambda: len(connections(db)) == 1, "a connection stays open")
    assert [str(each.message) for each in warned] == []


# Without a database.


def test_pauses_grow_and_the_last_look_is_in_time():
    """They double up to the longest; where the time is up sooner, the next look is then."""
    wait = waiting.Wait([1], timeout=None)
    pauses = []
    for _ in range(7):
        wait.note_look(100.0, longest=1.0)
        pauses.append(wait.next_look - 100.0)
    assert pauses == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    limited = waiting.Wait([1], timeout=0.01)
    limited.note_look(limited.deadline - 0.06, longest=1.0)
    limited.note_look(limited.deadline - 0.06, longest=1.0)
    assert limited.next_look == pytest.approx(limited.deadline)


def test_trust_in_notifications_is_earned_and_lost():
    """One that arrives makes pauses longer; an end that only a look found makes them short."""
    waits: Any = waiting.Waiting(access=None)  # type: ignore[arg-type]
    patient = waiting.Wait([1], timeout=None)
    waits._judge([patient], {2}, {1})
    assert waits._longest == waiting.LONGEST_TRUSTING_PAUSE
    waits._judge([patient], set(), {1})
    assert waits._longest == waiting.LONGEST_TRUSTING_PAUSE
    patient.pause = waiting.LONGEST_PAUSE
    waits._judge([patient], set(), {1})
    assert waits._longest == waiting.LONGEST_PAUSE
