"""Queries: what each word means, in which order rows come, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, get_origin

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, NullConnectionPool

from pgtasker import AsyncClient, Client
from pgtasker.queries import async_fetching, fetching
from pgtasker.queries.columns import columns_of
from pgtasker.rows import StepReadinessStatus, TaskExecutionContext, TaskWorkflowSummary

from ..support.databases import Database
from ..support.session import Session
from .mixed_work import mixed_work

Word = tuple[str, tuple[Any, ...], Callable[[Any, datetime], bool]]

UNFINISHED = ("pending", "in_progress", "error")

STEP_WORDS: tuple[Word, ...] = (
    ("ready_for_execution", (), lambda s, now: s.ready_for_execution),
    (
        "blocked_by_dependencies",
        (),
        lambda s, now: not s.dependencies_satisfied and s.current_state in ("pending", "error"),
    ),
    ("retry_eligible", (), lambda s, now: s.retry_eligible),
    ("pending", (), lambda s, now: s.current_state == "pending"),
    ("in_progress", (), lambda s, now: s.current_state == "in_progress"),
    ("failed", (), lambda s, now: s.current_state == "error"),
    ("complete", (), lambda s, now: s.current_state == "complete"),
    (
        "in_backoff",
        (),
        lambda s, now: (
            s.current_state == "error" and bool(s.next_retry_at) and s.next_retry_at > now
        ),
    ),
    ("exhausted", (), lambda s, now: s.current_state == "error" and not s.retry_eligible),
    ("high_retry_steps", (), lambda s, now: s.attempts >= 5),
    ("high_retry_steps", (1,), lambda s, now: s.attempts >= 1),
)
TASK_WORDS: tuple[Word, ...] = (
    (
        "needs_attention",
        (),
        lambda t, now: (
            t.status == "error" or (t.health_status == "blocked" and t.status in UNFINISHED)
        ),
    ),
    (
        "near_completion",
        (),
        lambda t, now: t.status in UNFINISHED and t.completion_percentage >= 90,
    ),
    (
        "near_completion",
        (Decimal("12.5"),),
        lambda t, now: t.status in UNFINISHED and t.completion_percentage >= 12.5,
    ),
    ("with_status", ("pending", "error"), lambda t, now: t.status in ("pending", "error")),
)
CONTEXT_WORDS: tuple[Word, ...] = (
    *TASK_WORDS,
    ("has_ready_steps", (), lambda t, now: t.ready_steps > 0),
    ("processing", (), lambda t, now: t.execution_status == "processing"),
    ("blocked", (), lambda t, now: t.health_status == "blocked"),
    ("healthy", (), lambda t, now: t.health_status == "healthy"),
    ("recovering", (), lambda t, now: t.health_status == "recovering"),
)
SUMMARY_WORDS: tuple[Word, ...] = (
    *TASK_WORDS,
    ("optimal", (), lambda t, now: t.workflow_efficiency == "optimal"),
    ("recovering", (), lambda t, now: t.workflow_efficiency == "recovering"),
    ("processing", (), lambda t, now: t.workflow_efficiency == "processing"),
    ("blocked", (), lambda t, now: t.workflow_efficiency == "blocked"),
    ("waiting", (), lambda t, now: t.workflow_efficiency == "waiting"),
    ("efficient", (), lambda t, now: t.workflow_efficiency not in ("blocked", "waiting")),
    ("has_parallelism_potential", (), lambda t, now: t.ready_steps > 1),
    ("high_parallelism", (), lambda t, now: t.ready_steps > 5),
    ("moderate_parallelism", (), lambda t, now: 1 < t.ready_steps <= 5),
    ("sequential_only", (), lambda t, now: t.ready_steps == 1),
    (
        "complex_workflows",
        (),
        lambda t, now: t.max_dependency_depth > 5 or t.parallel_branches > 3,
    ),
)
QUESTIONS = (
    ("step_readiness", StepReadinessStatus, "workflow_step_id", STEP_WORDS),
    ("execution_contexts", TaskExecutionContext, "task_id", CONTEXT_WORDS),
    ("workflow_summaries", TaskWorkflowSummary, "task_id", SUMMARY_WORDS),
)
every_question = pytest.mark.parametrize(
    ("question", "row_class", "key", "words"), QUESTIONS, ids=[each[0] for each in QUESTIONS]
)


@pytest.fixture
def client(database: Database, db: Session) -> Iterator[Client]:
    """A client in the time of a database with tasks of all ages in every state."""
    mixed_work(db)
    with Client(database.session_dsn("client"), schema=database.schema) as client:
        with client._connected() as connection:
            connection.execute("select set_config('pgtasker.clock', %s, false)", [database.clock])
        yield client


class Tiers:
    """Which rows each tier has, by what the list of tasks says."""

    def __init__(self, client: Client, now: datetime) -> None:
        tasks = client.list_tasks(limit=1000)
        self.active = {task.task_id for task in tasks if not task.complete}
        self.ages = {task.task_id: now - task.created_at for task in tasks}

    def rows(self, tier: str, rows: list[Any]) -> list[Any]:
        """Those of all rows that are in the tier."""
        return [row for row in rows if self._has(tier, row.task_id)]

    def _has(self, tier: str, task_id: int) -> bool:
        age = self.ages[task_id]
        return {
            "all": True,
            "active": task_id in self.active,
            "recent": age <= timedelta(days=30),
            "recent(7)": age <= timedelta(days=7),
            "active recent": task_id in self.active and age <= timedelta(days=30),
            "active recent(7)": task_id in self.active and age <= timedelta(days=7),
        }[tier]


TIERS: dict[str, Callable[[Any], Any]] = {
    "all": lambda query: query,
    "active": lambda query: query.active(),
    "recent": lambda query: query.recent(),
    "recent(7)": lambda query: query.recent(7),
    "active recent": lambda query: query.recent().active(),
    "active recent(7)": lambda query: query.active().recent(days=7),
}


def keys(rows: Any, key: str) -> list[int]:
    return sorted(getattr(row, key) for row in rows)


@every_question
def test_each_word_is_a_filter(
    client: Client, db: Session, question: str, row_class: type, key: str, words: tuple[Word, ...]
):
    """In every tier it gives the rows that a filter over all rows would."""
    query, now = getattr(client, question), db.call("clock")
    every = query.all()
    assert every
    tiers = Tiers(client, now)
    for tier, chosen in TIERS.items():
        expected = tiers.rows(tier, every)
        assert keys(chosen(query).all(), key) == keys(expected, key), tier
        for name, arguments, meaning in words:
            narrowed = getattr(chosen(query), name)(*arguments)
            found = narrowed.all()
            wanted = [row for row in expected if meaning(row, now)]
            assert keys(found, key) == keys(wanted, key), (tier, name)
            assert (narrowed.count(), narrowed.exists()) == (len(wanted), bool(wanted))
            assert tier != "all" or 0 < len(wanted) < len(every), f"{name} tells nothing apart"


@every_question
@pytest.mark.newest_only
def test_a_chain_of_words_is_a_chain_of_filters(
    client: Client, db: Session, question: str, row_class: type, key: str, words: tuple[Word, ...]
):
    """Any words, values, order, page and limit, in any tier; iterated or at once."""
    query, now = getattr(client, question), db.call("clock")
    every = query.all()
    tiers = Tiers(client, now)
    scalars = [name for name, kind in columns_of(row_class).items() if get_origin(kind) is not list]

    @settings(
        max_examples=120,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        tier = data.draw(st.sampled_from(list(TIERS)))
        narrowed, expected = TIERS[tier](query), tiers.rows(tier, every)
        for name, arguments, meaning in data.draw(st.lists(st.sampled_from(words), max_size=2)):
            narrowed = getattr(narrowed, name)(*arguments)
            expected = [row for row in expected if meaning(row, now)]
        for column in data.draw(st.lists(st.sampled_from(scalars), max_size=2)):
            seen = st.sampled_from([getattr(row, column) for row in every])
            value = data.draw(seen | st.lists(seen, max_size=4))
            narrowed = narrowed.where(**{column: value})
            values = value if isinstance(value, list) else [value]
            expected = [row for row in expected if getattr(row, column) in values]
        order = data.draw(st.none() | st.sampled_from(scalars))
        descending = order is not None and data.draw(st.booleans())
        if order is not None:
            narrowed = narrowed.order_by(order, descending=descending)
        if order in (None, key) and data.draw(st.booleans()):
            last = data.draw(st.sampled_from([getattr(row, key) for row in every]))
            narrowed = narrowed.after(last)
            down = order == key and descending
            expected = [row for row in expected if _is_after(getattr(row, key), last, down)]
            order = key
        assert keys(narrowed.all(), key) == keys(expected, key)
        expected = _ordered(expected, order or key, key, descending)
        assert [getattr(row, key) for row in narrowed] == [getattr(row, key) for row in expected]
        limit = data.draw(st.integers(1, len(every) + 1))
        limited = narrowed.limit(limit)
        assert limited.count() == min(limit, len(expected))
        assert limited.exists() == bool(expected)
        if order is not None:
            assert limited.all() == expected[:limit] == list(limited)
            assert limited.first() == (expected[0] if expected else None)

    check()


def _is_after(number: int, last: int, down: bool) -> bool:
    return number < last if down else number > last


def _ordered(rows: list[Any], column: str, key: str, descending: bool) -> list[Any]:
    """By a column, nulls last, and by the key."""
    known = [row for row in rows if getattr(row, column) is not None]
    unknown = [row for row in rows if getattr(row, column) is None]
    known.sort(key=lambda row: (getattr(row, column), getattr(row, key)), reverse=descending)
    unknown.sort(key=lambda row: getattr(row, key), reverse=descending)
    return known + unknown


@every_question
def test_iteration_asks_for_a_piece_at_a_time(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    question: str,
    row_class: type,
    key: str,
    words: tuple[Word, ...],
):
    """However many rows there are; with an order by any column, also one with nulls."""
    monkeypatch.setattr(fetching, "ROWS", 3)
    monkeypatch.setattr(fetching, "PLACES", 7)
    query = getattr(client, question)
    sizes: list[int] = []
    read = query._read

    def watched(call: Any) -> Any:
        answer = read(call)
        sizes.append(len(answer))
        return answer

    query._read = watched
    everything = query.all()
    for column in (key, "last_attempted_at", "waiting_reason", "current_state", "health_status"):
        if column not in columns_of(row_class):
            continue
        for descending in (False, True):
            ordered = query.order_by(column, descending=descending)
            expected = ordered.all()
            assert len(expected) == len(everything) > 7
            sizes.clear()
            assert list(ordered) == expected
            assert max(sizes) == 7
            sizes.clear()
            assert list(ordered.limit(10)) == expected[:10]
            assert sum(sizes) == 20
    sizes.clear()
    assert len(list(query.limit(3))) == 3
    assert sizes == [3]


@pytest.mark.newest_only
def test_nothing_stays_open_between_two_rows(
    client: Client, database: Database, db: Session, monkeypatch: pytest.MonkeyPatch
):
    """No transaction and no snapshot: other calls of the client commit, and rows that they change
    so that nobody asked for them are not given any more."""
    monkeypatch.setattr(fetching, "ROWS", 1)
    seen = []
    for context in client.execution_contexts.active().where(status="error"):
        seen.append(context.task_id)
        busy = db.rows(
            "select 1 from pg_stat_activity where application_name = 'client'"
            " and datname = current_database()"
            " and (state <> 'idle' or backend_xmin is not null)"
        )
        assert busy == []
        for other in client.execution_contexts.needs_attention().all():
            client.cancel_task(other.task_id)
            assert db.state_of(other.task_id) == "cancelled"
    assert len(seen) == 1


@pytest.mark.newest_only
def test_a_query_joins_the_transaction_of_a_connection(client: Client, database: Database):
    """It sees what was done there, and may be iterated over a commit."""
    with psycopg.connect(database.session_dsn("joined")) as connection:
        joined = Client(connection, schema=database.schema)
        before = client.execution_contexts.count()
        task_id = joined.start("pending_0")
        assert joined.execution_contexts.for_task(task_id).exists()
        assert not client.execution_contexts.for_task(task_id).exists()
        seen = 0
        for _ in joined.execution_contexts:
            seen += 1
            assert (connection.info.transaction_status == TransactionStatus.INTRANS) == (seen == 1)
            connection.commit()
        assert seen == before + 1
    assert client.execution_contexts.for_task(task_id).exists()


@pytest.mark.newest_only
def test_a_pool_of_one_connection_serves_a_query_and_what_is_done_with_it(
    client: Client, database: Database
):
    """The connection is borrowed for each call, not for the loop."""
    with ConnectionPool(database.session_dsn("pool"), min_size=1, max_size=1, timeout=5) as pool:
        pooled = Client(pool, schema=database.schema)
        names = {pooled.get_task(each.task_id).name for each in pooled.execution_contexts}
    assert "pending_0" in names


@pytest.mark.newest_only
def test_each_piece_may_come_from_another_session(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
):
    """As through a pooler that hands every transaction to another one."""
    monkeypatch.setattr(fetching, "ROWS", 20)
    sessions = []

    def note(connection: psycopg.Connection[Any]) -> None:
        sessions.append(connection.info.backend_pid)
        connection.execute("select set_config('pgtasker.clock', %s, false)", [database.clock])
        connection.commit()

    dsn = database.session_dsn("pooled")
    with NullConnectionPool(dsn, configure=note, max_size=1, open=True) as pool:
        steps = list(Client(pool, schema=database.schema).step_readiness.order_by("attempts"))
    assert steps == client.step_readiness.order_by("attempts").all()
    assert len(set(sessions)) > 5


@pytest.mark.newest_only
def test_both_clients_ask_the_same(client: Client, database: Database):
    """Awaited or not, at once or one by one."""

    async def scenario() -> None:
        async with AsyncClient(database.session_dsn("async"), schema=database.schema) as awaited:
            async with awaited._connected() as connection:
                await connection.execute(
                    "select set_config('pgtasker.clock', %s, false)", [database.clock]
                )
            for question, _, key, words in QUESTIONS:
                for name, arguments, _ in words:
                    one = getattr(getattr(client, question).active(), name)(*arguments)
                    other = getattr(getattr(awaited, question).active(), name)(*arguments)
                    assert str(one) == str(other)
                    rows = one.order_by(key).all()
                    assert await other.order_by(key).all() == rows
                    assert [row async for row in other] == rows == list(one)
                    assert await other.count() == len(rows)
                    assert await other.exists() == bool(rows)
                    assert (await other.order_by(key).first()) == (rows[0] if rows else None)

    assert (fetching.ROWS, fetching.PLACES) == (async_fetching.ROWS, async_fetching.PLACES)
    asyncio.run(scenario())


@pytest.mark.newest_only
def test_a_query_is_not_changed_by_what_is_made_of_it(client: Client):
    """Each word gives another query; nothing is sent before rows are wanted."""
    base = client.step_readiness.active()
    before = str(base)
    base.failed().recent(3).order_by("attempts").limit(1)
    assert str(base) == before
    nobody = Client("host=/nowhere")
    assert "/nowhere" not in repr(nobody.execution_contexts.blocked().limit(3))


@pytest.mark.newest_only
def test_a_query_shows_its_sql(client: Client, db: Session):
    """With the parameters in place: psql understands it."""
    query = (
        client.step_readiness.active()
        .recent(7)
        .where(name=["a", "it's"], last_failure_at=None)
        .order_by("attempts", descending=True)
        .limit(2000)
    )
    text = str(query)
    assert "it''s" in text
    assert "\n" not in text
    assert repr(query) == f"<StepReadinessQuery: {text}>"
    shown = [row.workflow_step_id for row in db.rows(text.replace("%", "%%"))]
    assert shown == [row.workflow_step_id for row in query.all()] != []


@pytest.mark.parametrize("tiers", [("active",), ("recent",), ("active", "recent")])
def test_steps_that_are_named_are_looked_up_by_their_ids(client: Client, tiers: tuple[str, ...]):
    """Not among all steps of the tier; those of other tiers are left out all the same."""
    tier = client.step_readiness
    for word in tiers:
        tier = getattr(tier, word)()
    everything = [row.workflow_step_id for row in client.step_readiness]
    inside = sorted(row.workflow_step_id for row in tier.all())
    assert set(inside) < set(everything)
    named = tier.where(workflow_step_id=everything)
    assert sorted(row.workflow_step_id for row in named.all()) == inside
    assert '"step_readiness_statuses"' in str(named)
    assert [tier.where(workflow_step_id=step).exists() for step in everything] == [
        step in inside for step in everything
    ]


@pytest.mark.newest_only
def test_the_setting_says_what_is_recent(client: Client, db: Session):
    """Unless a number of days is given."""
    counts = []
    for days in (30, 10, 1):
        client.set_setting("recent_days", str(days))
        query = client.execution_contexts
        counts.append(query.recent().count())
        assert query.recent().count() == query.recent(days).count()
        assert client.step_readiness.recent().count() == client.step_readiness.recent(days).count()
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 3


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda c: c.step_readiness.where(colour="red"), "no column 'colour' .* workflow_step_id"),
        (lambda c: c.step_readiness.order_by("name; drop"), "there is no column 'name; drop'"),
        (lambda c: c.workflow_summaries.order_by("ready_step_ids"), "no column 'ready_step_ids'"),
        (lambda c: c.workflow_summaries.where(root_step_ids=1), "no column 'root_step_ids'"),
        (lambda c: c.step_readiness.where(name=7), "name is text, not 7"),
        (lambda c: c.step_readiness.where(attempts=["1"]), "attempts is a number, not '1'"),
        (lambda c: c.step_readiness.where(attempts=True), "attempts is a number, not True"),
        (lambda c: c.step_readiness.where(retry_eligible=1), "retry_eligible is true or false"),
        (
            lambda c: c.step_readiness.where(last_failure_at=datetime(2030, 1, 1)),
            "last_failure_at is a datetime with a timezone",
        ),
        (lambda c: c.step_readiness.for_task("7"), "task_id is a number, not '7'"),
        (lambda c: c.execution_contexts.with_status("done", 1), "status is text, not 1"),
        (lambda c: c.execution_contexts.near_completion("all"), "a percentage is a number"),
        (lambda c: c.execution_contexts.limit(0), "limit must be a whole number from 1 to"),
        (lambda c: c.execution_contexts.limit(2.5), "limit must be a whole number .*, not 2.5"),
        (lambda c: c.execution_contexts.limit(None), "limit must be a whole number .*, not None"),
        (lambda c: c.execution_contexts.recent(0), "days must be a whole number from 1 to"),
        (lambda c: c.execution_contexts.recent(-3), "days must be .*, not -3"),
        (lambda c: c.execution_contexts.recent(10**9), "days must be .*, not 1000000000"),
        (lambda c: c.execution_contexts.after("x"), "an id must be a whole number, not 'x'"),
        (lambda c: c.step_readiness.high_retry_steps(0), "attempts must be a whole number"),
        (
            lambda c: c.step_readiness.order_by("attempts").after(1),
            "goes by workflow_step_id, not by attempts",
        ),
        (
            lambda c: c.step_readiness.after(1).order_by("attempts"),
            "goes by workflow_step_id, not by attempts",
        ),
    ],
)
def test_what_no_view_could_answer_is_refused(ask: Callable[[Client], Any], words: str):
    """At once and in one line; there is not even a server."""
    with pytest.raises(ValueError, match=words) as caught:
        ask(Client("host=/nowhere"))
    assert "\n" not in str(caught.value)


@pytest.mark.newest_only
def test_extreme_values_are_answered(client: Client):
    """The largest and smallest of what is accepted, and nothing at all."""
    contexts = client.execution_contexts
    everything = contexts.count()
    assert contexts.limit(2**63 - 1).count() == everything
    assert contexts.recent(100_000).count() == everything
    assert contexts.after(-1).count() == everything
    assert contexts.after(2**63 - 1).first() is None
    assert contexts.for_tasks([]).all() == []
    assert contexts.for_task(10**30).count() == 0
    assert contexts.where(status=[]).count() == 0
    assert list(contexts.with_status()) == []
    assert contexts.where(completion_percentage=100.0).exists()
