"""Looking costs what is looked at: how each tier is executed on a generated history.

Nothing here measures time: plans, rows and pages say the same and do not flicker.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.history import History, fill

from ..support.databases import Database, Databases
from ..support.session import Row, Session

pytestmark = pytest.mark.newest_only

ACTIVE = 300
SHORT, LONG = 800, 8_000  # finished tasks
STEPS = 9  # at most, of a task
LOGS = {"task_transitions", "workflow_step_transitions"}
TABLES = LOGS | {"tasks", "workflow_steps", "workflow_step_edges"}
TIERS = ("task_execution_contexts", "step_readiness_statuses")

LIMITED = [
    f"active_{view} where {condition} limit 100"
    for view, condition in (
        ("task_execution_contexts", "true"),
        ("task_execution_contexts", "execution_status = 'has_ready_steps'"),
        ("task_execution_contexts", "health_status = 'recovering'"),
        ("task_execution_contexts", "status = 'error' and health_status = 'blocked'"),
        ("step_readiness_statuses", "true"),
        ("step_readiness_statuses", "ready_for_execution"),
        ("step_readiness_statuses", "current_state = 'error'"),
    )
] + [f"recent_{view} limit 100" for view in TIERS]


@dataclass(frozen=True)
class Node:
    """One node of a plan: what it reads, by what, and how many rows that touched."""

    kind: str
    table: str | None
    index: str | None
    rows: int


@dataclass(frozen=True)
class Plan:
    """How a query was executed."""

    nodes: list[Node]
    pages: int
    returned: int

    @property
    def tables(self) -> set[str]:
        return {node.table for node in self.nodes if node.table}

    @property
    def indexes(self) -> set[str]:
        return {node.index for node in self.nodes if node.index}

    @property
    def scanned(self) -> set[str]:
        """Tables that are read from end to end, or would be in a part that was not reached."""
        return {str(node.table) for node in self.nodes if node.kind.endswith("Seq Scan")}

    def rows(self, table: str) -> int:
        """Rows of a table that were read, also those that a filter dropped."""
        return sum(node.rows for node in self.nodes if node.table == table)

    def __str__(self) -> str:
        return "\n".join(map(str, self.nodes))


def _nodes(plan: dict[str, Any]) -> Iterator[Node]:
    dropped = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    rows = round((plan["Actual Rows"] + dropped) * plan["Actual Loops"])
    yield Node(plan["Node Type"], plan.get("Relation Name"), plan.get("Index Name"), rows)
    for part in plan.get("Plans", []):
        yield from _nodes(part)


class Reader:
    """Asks one database."""

    def __init__(self, db: Session) -> None:
        self.db = db

    def explain(self, asked: str) -> Plan:
        """The plan of a query, or of all rows and columns of what comes after `from`."""
        query = asked if asked.startswith("select ") else f"select * from {asked}"
        options = "analyze, buffers, timing off, format json"
        [[found]] = self.db.column(f"explain ({options}) {query}")
        top = found["Plan"]
        pages = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
        return Plan(list(_nodes(top)), pages, round(top["Actual Rows"]))

    def cost(self, call: str) -> int:
        """Pages that a call touches, rows of large tables that sequential scans read in it, and all
        rows of named_steps, whose pages hold many."""
        with self.db.conn.transaction():
            before = self._counters()
            pages = self.explain(call).pages
            after = self._counters()
        scanned = sum(after[table][1] - before[table][1] for table in TABLES)
        return pages + scanned + after["named_steps"][0] - before["named_steps"][0]

    def reads(self, call: str) -> tuple[Counter[str], Counter[str]]:
        """What a call reads, also inside of functions: rows of each table, and rows of each table
        that a sequential scan read."""
        with self.db.conn.transaction():
            before = self._counters()
            self.db.run(f"select * from {call}")
            after = self._counters()
        rows, scanned = Counter[str](), Counter[str]()
        for table, (read, by_scan) in after.items():
            rows[table] = read - before[table][0]
            scanned[table] = by_scan - before[table][1]
        return rows, scanned

    def _counters(self) -> dict[str, tuple[int, int]]:
        found = self.db.rows(
            "select relname::text, seq_tup_read + idx_tup_fetch as read, seq_tup_read as scanned"
            " from pg_stat_xact_user_tables where schemaname = %s",
            self.db.database.schema,
        )
        return {row.relname: (row.read, row.scanned) for row in found}


@pytest.fixture(scope="module")
def histories(server: Databases) -> Iterator[tuple[Reader, Reader]]:
    """The same unfinished tasks after a short history, and after ten times as much."""
    databases = [server.clone() for _ in range(2)]
    try:
        for database, finished in zip(databases, (SHORT, LONG), strict=True):
            fill(database.main.conn, History(finished=finished, recent=finished // 10))
            fill(database.main.conn, History(active=ACTIVE))
            database.main.run("vacuum (analyze)")
        short, long = (Reader(database.main) for database in databases)
        yield short, long
    finally:
        for database in databases:
            database.close()
            server.drop(database.dsn)


@pytest.fixture
def reader(histories: tuple[Reader, Reader]) -> Reader:
    """The database with the long history."""
    return histories[1]


@pytest.mark.parametrize("view", TIERS)
def test_the_active_tier_begins_with_unfinished_tasks(reader: Reader, view: str):
    """Their own index finds them, another one their steps; nothing else of the history is read."""
    plan = reader.explain(f"active_{view}")
    assert not plan.scanned & TABLES, plan
    assert "tasks_active" in plan.indexes, plan
    assert "workflow_steps_task" in plan.indexes, plan
    assert plan.rows("tasks") <= 2 * ACTIVE, plan
    assert plan.rows("workflow_steps") <= 2 * STEPS * ACTIVE, plan
    assert plan.rows("workflow_step_transitions") <= STEPS * ACTIVE, plan


@pytest.mark.parametrize("asked", [asked for asked in LIMITED if asked.startswith("active")])
def test_a_limit_ends_the_search_among_unfinished_tasks(reader: Reader, asked: str):
    """Whatever the filter, no table of the history is read from end to end."""
    plan = reader.explain(asked)
    assert plan.returned
    assert not plan.scanned & TABLES, plan


@pytest.mark.parametrize("view", TIERS)
def test_an_unfiltered_limit_looks_at_what_it_returns(reader: Reader, view: str):
    """A hundred rows of a tier cost a hundred rows, not the tier."""
    for tier in ("active", "recent"):
        plan = reader.explain(f"{tier}_{view} limit 100")
        assert plan.rows("workflow_steps") <= 2 * STEPS * 100, plan


def test_ready_steps_are_found_in_the_queue(reader: Reader):
    """What is ready stands in step_queue: a filter on it begins there and looks up each step."""
    plan = reader.explain("active_step_readiness_statuses where ready_for_execution limit 100")
    reached = [node.table for node in plan.nodes if node.table in {"workflow_steps", "step_queue"}]
    assert reached[0] == "step_queue", plan
    waiting = reader.db.one("select count(*) from step_queue")
    assert plan.rows("workflow_steps") <= waiting, plan
    assert "workflow_steps_pkey" in plan.indexes, plan


@pytest.mark.parametrize("view", TIERS)
def test_the_recent_tier_begins_with_the_time_of_creation(reader: Reader, view: str):
    """Tasks outside of the window are skipped by an index, and so are their steps."""
    recent = reader.db.one("select count(*) from recent_task_execution_contexts")
    for asked in (f"recent_{view}", f"recent_{view} limit 100"):
        plan = reader.explain(asked)
        assert not plan.scanned & TABLES, plan
        assert "tasks_created" in plan.indexes, plan
        assert plan.rows("workflow_steps") <= STEPS * recent, plan


def test_one_task_or_step_is_looked_up(reader: Reader):
    """The functions for one task read its row and its steps, by their keys."""
    found = reader.db.row(
        "select task_id, min(workflow_step_id) as step_id from workflow_steps"
        " where state = 'in_progress' group by task_id order by 1 limit 1"
    )
    for call, steps in (
        (f"get_task_execution_context(task_id => {found.task_id})", 2 * STEPS),
        (f"get_step_readiness_status(task_id => {found.task_id})", STEPS),
        (
            f"get_step_readiness_status(task_id => {found.task_id},"
            f" step_ids => array[{found.step_id}])",
            STEPS,
        ),
        (f"get_task_execution_context_batch(task_ids => array[{found.task_id}])", 2 * STEPS),
    ):
        rows, scanned = reader.reads(call)
        assert not {table for table in TABLES if scanned[table]}, call
        assert rows["tasks"] <= 2 + STEPS, (call, rows)
        assert rows["workflow_steps"] <= steps, (call, rows)
        assert sum(rows[table] for table in LOGS) <= 3 * STEPS, (call, rows)


def test_reports_of_the_whole_do_not_read_the_history(reader: Reader):
    """Health, the last hour and metrics come from unfinished work and from what was counted."""
    for call in (
        "get_system_health_counts()",
        "get_analytics_metrics()",
        "monitoring_metrics",
    ):
        rows, scanned = reader.reads(call)
        assert not {table for table in TABLES if scanned[table]}, (call, scanned)
        assert rows["workflow_steps"] <= 2 * STEPS * ACTIVE, (call, rows)


@pytest.mark.parametrize(
    ("query", "tables"),
    [
        ("select status, count(*) from task_execution_contexts group by 1", {"tasks"}),
        ("select count(*) from task_execution_contexts", {"tasks"}),
        ("select status, count(*) from active_task_execution_contexts group by 1", {"tasks"}),
        ("select current_state, count(*) from step_readiness_statuses group by 1", set()),
        (
            "select current_state, count(*) from active_step_readiness_statuses group by 1",
            {"tasks"},
        ),
    ],
)
def test_a_column_that_is_not_asked_for_costs_nothing(reader: Reader, query: str, tables: set[str]):
    """Counting by state reads no log, no definition, and no steps where it is about tasks."""
    plan = reader.explain(query)
    steps = {"workflow_steps", "step_queue"} if "step_" in query else set()
    assert plan.tables <= tables | steps, plan


@pytest.mark.parametrize("asked", [*LIMITED, *(f"active_{view}" for view in TIERS)])
def test_the_cost_does_not_grow_with_the_history(histories: tuple[Reader, Reader], asked: str):
    """Ten times the history: about as many pages (an index may be a level deeper)."""
    short, long = (reader.explain(asked).pages for reader in histories)
    assert long <= 1.6 * short + 20


def test_every_index_is_documented(reader: Reader):
    """The reference names each index, and none that there is not."""
    page = Path(__file__).parents[2] / "docs/reference/indexes.md"
    cells = re.findall(r"^\| (`.*?`) \|", page.read_text(), re.MULTILINE)
    documented = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    there = reader.db.column(
        "select indexname::text from pg_indexes where schemaname = %s", reader.db.database.schema
    )
    assert sorted(documented) == sorted(there)


class Worker:
    """A session that does one of everything, in a queue of its own."""

    def __init__(self, db: Session, queue: str = "mine") -> None:
        self.db = db
        self.reader = Reader(db)
        db.define(
            "a->b", name=queue, steps={step: {"queue": queue, "skippable": True} for step in "ab"}
        )
        self.runner = db.register(queue)

    def held(self) -> Row:
        """The claim that the runner holds."""
        return self.db.row(
            "select workflow_step_id, claim_id, format('workflow_step_id => %%s, claim_id => %%s',"
            " workflow_step_id, claim_id) as ids from _held_claims where runner_id = %s",
            self.runner,
        )

    def work_off(self, batch: int) -> Iterator[str]:
        """Calls of `advance`, until nothing is left."""
        query = "select * from _held_claims where runner_id = %s"
        held, is_first = self.db.rows(query, self.runner), True
        while held or is_first:
            outcomes = [
                {"workflow_step_id": row.workflow_step_id, "claim_id": row.claim_id}
                | {"outcome": "complete"}
                for row in held
            ]
            yield f"advance({self.runner}, '{json.dumps(outcomes)}', {batch})"
            held, is_first = self.db.rows(query, self.runner), False

    def costs(self) -> dict[str, int]:
        """Of each operation: pages that it touches, and rows that it reads from end to end."""
        claim, costs = f"claim_steps({self.runner}, 1)", dict[str, int]()
        self.db.run("select create_tasks('mine', array_fill('{}'::jsonb, array[50]))")
        for number, call in enumerate(self.work_off(100)):
            costs[f"advance {number}"] = self._cost(call)
        tasks = [self.db.start("mine") for _ in range(4)]
        failing = 0

        def task_of(step: int) -> int:
            query = "select task_id from workflow_steps where workflow_step_id = %s"
            return int(self.db.one(query, step))

        def fail() -> str:
            nonlocal failing
            failing = self.held().workflow_step_id
            return f"fail_step({self.held().ids}, error => '{{}}', retryable => false)"

        for name, call in (
            ("start", lambda: "create_task(name => 'mine')"),
            ("claim", lambda: claim),
            ("release", lambda: f"release_step({self.held().ids})"),
            ("claim again", lambda: claim),
            ("complete", lambda: f"complete_step({self.held().ids})"),
            ("claim another", lambda: claim),
            ("extend", lambda: f"extend_step({self.held().ids}, timeout => '1 minute')"),
            ("fail", fail),
            ("retry", lambda: f"retry_step({failing})"),
            ("claim the retry", lambda: claim),
            ("fail again", fail),
            ("retry the task", lambda: f"retry_task({task_of(failing)})"),
            ("skip", lambda: f"skip_step({self.db.step_id(tasks[3], 'a')})"),
            ("explain", lambda: f"explain_step({self.db.step_id(tasks[3], 'b')})"),
            ("look at the task", lambda: f"get_task({tasks[2]})"),
            ("look at its steps", lambda: f"get_task_steps({tasks[2]})"),
            ("look at its history", lambda: f"get_task_history({tasks[2]})"),
            ("wait for it", lambda: f"watch_task({tasks[2]}, 'told')"),
            ("pause", lambda: f"pause_task({tasks[2]})"),
            ("resume", lambda: f"resume_task({tasks[2]})"),
            ("resolve", lambda: f"resolve_step({self.db.step_id(tasks[2], 'a')})"),
            ("cancel", lambda: f"cancel_task({tasks[2]})"),
            ("maintain", lambda: "maintain()"),
            ("heartbeat", lambda: f"heartbeat({self.runner}, '{{}}')"),
        ):
            costs[name] = self._cost(call())
        return costs

    def _cost(self, call: str) -> int:
        """As for `Reader.cost`, of what is done as a rule and not once in a while."""
        self.db.run("select setseed(0.5)")
        return self.reader.cost(call)


@pytest.mark.parametrize("when", ["", "vacuum", "analyze"])
def test_what_was_planned_on_empty_tables_stays_right(database: Database, when: str):
    """A session that is as old as the install reads no more when the tables have grown, also if
    autovacuum comes while they are empty, or hold little."""
    if when:
        database.connect("autovacuum").run(when)
    worker = Worker(database.main)
    if when:
        database.connect("autovacuum").run(when)
    small = [worker.costs() for _ in range(2)][-1]
    # By their own session, and by nothing that would have plans made anew.
    other = Worker(database.connect("other"), "theirs")
    other.db.run("select create_tasks('theirs', array_fill('{}'::jsonb, array[%s]))", SHORT)
    for call in other.work_off(500):
        other.db.run(f"select * from {call}")
    other.db.run("select create_tasks('theirs', array_fill('{}'::jsonb, array[%s]))", 10 * ACTIVE)
    other.db.define(" ".join(f"s{number}" for number in range(LONG)), name="of_many_steps")
    large = [worker.costs() for _ in range(2)][-1]  # not what is counted or looked for but once
    # Indexes are a level deeper: until PostgreSQL 17 that is a page more for each look-up.
    grown = {
        name: (small[name], cost) for name, cost in large.items() if cost > 1.6 * small[name] + 100
    }
    assert not grown, f"(cost before, cost now): {grown}"
