"""One session of one database, and the words in which tests speak to it.

The words call the public surface only, by named notation: what a test arranges with them, any
client could have done. Raw SQL is for looking, and for what no client should be able to do.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb, JsonbDumper

from .graph import workflow
from .invariants import assert_kept

if TYPE_CHECKING:
    from .databases import Database

Row = Any  # a named tuple
PATIENCE = 20.0  # seconds; reached only by a test that fails


class Session:
    """A connection (autocommit) with a vocabulary."""

    def __init__(self, conn: psycopg.Connection[Any], database: Database, name: str) -> None:
        conn.row_factory = namedtuple_row
        conn.adapters.register_dumper(dict, JsonbDumper)
        self.conn = conn
        self.database = database
        self.name = name
        self.pid = conn.info.backend_pid
        self._thread: ThreadPoolExecutor | None = None
        self._runner: int | None = None
        self._returns_set: dict[str, bool] = {}

    # -- asking ---------------------------------------------------------------------------------

    def rows(self, query: str, *values: Any) -> list[Row]:
        """Every row of a query."""
        cursor = self.conn.execute(query, values or None)
        return cursor.fetchall() if cursor.description is not None else []

    def row(self, query: str, *values: Any) -> Row:
        """The only row of a query."""
        [row] = self.rows(query, *values)
        return row

    def one(self, query: str, *values: Any) -> Any:
        """The only value of a query."""
        [value] = self.row(query, *values)
        return value

    def column(self, query: str, *values: Any) -> list[Any]:
        """The values of a query's only column."""
        return [value for [value] in self.rows(query, *values)]

    def run(self, statement: str, *values: Any) -> None:
        """A statement whose answer does not matter."""
        self.conn.execute(statement, values or None)

    def call(self, function: str, /, **arguments: Any) -> Any:
        """Call a function by named notation.

        Gives a value or a row, or a list of these if the function returns a set. Rows of one
        column are given as that column's value.
        """
        names = sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name))
            for name in arguments
        )
        called = sql.Identifier(self.database.schema, function)
        query = sql.SQL("select * from {}({})").format(called, names)
        cursor = self.conn.execute(query, arguments)
        assert cursor.description is not None
        found: list[Any] = cursor.fetchall()
        if len(cursor.description) == 1:
            found = [value for [value] in found]
        return found if self._is_set(function) else found[0]

    @staticmethod
    def json(value: Any) -> Jsonb:
        """A JSON value that Python's types do not show to be one: null, text, a number, a list."""
        return value if isinstance(value, Jsonb) else Jsonb(value)

    def _is_set(self, function: str) -> bool:
        if function not in self._returns_set:
            self._returns_set[function] = self.one(
                "select p.proretset from pg_proc p"
                " join pg_namespace n on n.oid = p.pronamespace"
                " where n.nspname = %s and p.proname = %s",
                self.database.schema,
                function,
            )
        return self._returns_set[function]

    def tables(self) -> list[str]:
        """The tables of the install."""
        return self.column(
            "select tablename::text from pg_tables where schemaname = %s order by 1",
            self.database.schema,
        )

    # -- workflows and tasks --------------------------------------------------------------------

    def define(self, edges: str, /, name: str = "flow", **more: Any) -> str:
        """Register a workflow from an edge string (see `workflow`); its name."""
        self.call("register_workflow", definition=workflow(edges, name, **more))
        return name

    def start(self, name: str = "flow", context: Any = None, **more: Any) -> int:
        """Start a task of a registered workflow; its id."""
        if context is not None:
            more["context"] = context
        return int(self.call("create_task", name=name, **more))

    def run_with(self, edges: str, /, context: Any = None, **steps: dict[str, Any]) -> int:
        """Define a workflow and start a task of it: `run_with("a->b", b={"retry_limit": 1})`."""
        return self.start(self.define(edges, steps=steps), context)

    # -- a runner's words -----------------------------------------------------------------------

    def register(self, *queues: str, name: str = "runner") -> int:
        """Register a runner for these queues (none: the default one); its id."""
        more = {"queues": list(queues)} if queues else {}
        return int(self.call("register_runner", name=name, **more))

    @property
    def runner(self) -> int:
        """The runner of this session, registered at its first use, for every queue in use."""
        if self._runner is None:
            queues = {"default", *self.column("select distinct queue from named_steps")}
            self._runner = self.register(*sorted(queues), name=f"runner of {self.name}")
        return self._runner

    def claim(self, max_steps: int = 1, runner: int | None = None) -> list[Row]:
        """Claim up to so many steps."""
        chosen = self.runner if runner is None else runner
        return list(self.call("claim_steps", runner_id=chosen, max_steps=max_steps))

    def claim_only(self, step: str | None = None, runner: int | None = None) -> Row:
        """Claim the only step that is ready (and has this name)."""
        [claimed] = self.claim(2, runner)
        assert step in (None, claimed.step_name), f"{claimed.step_name} is ready, not {step}"
        return claimed

    def complete(self, claimed: Row, results: Any = None) -> None:
        """Complete a claimed step."""
        more = {} if results is None else {"results": self.json(results)}
        self.call("complete_step", **_held(claimed), **more)

    def fail(self, claimed: Row, error: Any = None, **more: Any) -> None:
        """Fail a claimed step; `retryable=False` for good."""
        problem = {"message": "boom"} if error is None else error
        self.call("fail_step", **_held(claimed), error=problem, **more)

    def release(self, claimed: Row, **more: Any) -> None:
        """Hand a claimed step back."""
        self.call("release_step", **_held(claimed), **more)

    def finish_step(self, step: str, results: Any = None) -> None:
        """Claim the only ready step, which has this name, and complete it."""
        self.complete(self.claim_only(step), results)

    def break_step(self, step: str) -> None:
        """Claim the only ready step, which has this name, and fail it for good."""
        self.fail(self.claim_only(step), retryable=False)

    def settle(self, task_id: int, broken: Sequence[str] = (), flaky: Sequence[str] = ()) -> str:
        """Drive a task as far as it goes, moving the clock to what is due; its state.

        `broken` steps fail for good, `flaky` ones on every attempt.
        """
        for _ in range(1000):
            claimed = self.claim(100)
            for step in claimed:
                if step.step_name in broken:
                    self.fail(step, retryable=False)
                elif step.step_name in flaky:
                    self.fail(step)
                else:
                    self.complete(step, {"from": step.step_name})
            if not claimed and not self._wait_for_next(task_id):
                return self.state_of(task_id)
        raise AssertionError(f"task {task_id} does not settle")

    def _wait_for_next(self, task_id: int) -> bool:
        due = [step.due_at for step in self.steps(task_id) if step.due_at is not None]
        now = self.call("clock")
        ahead = [moment for moment in due if moment > now]
        if not ahead:
            return False
        self.wait((min(ahead) - now).total_seconds())
        return True

    # -- looking --------------------------------------------------------------------------------

    def task(self, task_id: int) -> Row:
        """The row of get_task."""
        [task] = self.call("get_task", task_id=task_id)
        return task

    def state_of(self, task_id: int) -> str:
        """A task's state."""
        return str(self.task(task_id).state)

    def steps(self, task_id: int) -> list[Row]:
        """The rows of get_task_steps."""
        return list(self.call("get_task_steps", task_id=task_id))

    def step(self, task_id: int, name: str) -> Row:
        """The row of one step of a task."""
        [step] = [step for step in self.steps(task_id) if step.name == name]
        return step

    def step_id(self, task_id: int, name: str) -> int:
        """The id of one step of a task."""
        return int(self.step(task_id, name).workflow_step_id)

    def steps_of(self, task_id: int) -> dict[str, str]:
        """The state of every step of a task, by name."""
        return {step.name: step.state for step in self.steps(task_id)}

    def history(self, task_id: int) -> list[Row]:
        """The rows of get_task_history."""
        return list(self.call("get_task_history", task_id=task_id))

    def last_entry(self, task_id: int, entity: str = "task", name: str | None = None) -> Row:
        """The last row of the log about a task, or about one of its steps."""
        entries = [
            entry
            for entry in self.history(task_id)
            if entry.entity == entity and (name is None or entry.name == name)
        ]
        return entries[-1]

    def assert_consistent(self) -> None:
        """No promise of the engine is broken, and it finds nothing wrong with itself.

        Runners come and go in tests as they please, and deadlocks are counted by the database,
        which one test after the other uses.
        """
        without = ["nothing deadlocks"]
        assert_kept(self.conn, self.database.schema, gone=None, without=without, often=True)

    # -- refusals -------------------------------------------------------------------------------

    @contextmanager
    def refused(self, sqlstate: str, match: str = "") -> Iterator[None]:
        """What is done inside is refused, in three levels of words, and changes nothing.

        `sqlstate` may be several, joined by |; `match` is looked for in all of the words.
        """
        before = self.fingerprint()
        try:
            yield
        except psycopg.Error as error:
            said = error.diag
        else:
            raise AssertionError("was not refused")
        words = f"{said.message_primary} | {said.message_detail} | {said.message_hint}"
        assert said.sqlstate in sqlstate.split("|"), f"{said.sqlstate}: {words}"
        assert re.search(match, words, re.DOTALL), words
        assert said.message_detail, f"there is no detail: {words}"
        assert (said.message_hint or "").endswith("."), f"the hint is no sentence: {words}"
        assert re.match(r"[^A-Z].*[^.]$", said.message_primary or "", re.DOTALL), words
        assert self.fingerprint() == before, "something changed"

    def fingerprint(self) -> dict[str, Any]:
        """Everything the install holds, and the locks that outlive a transaction."""
        digest = "select md5(string_agg(t::text, e'\\n' order by t::text)) from {} t"
        found = {table: self.one(digest.format(table)) for table in self.tables()}
        found["locks"] = self.rows(
            "select classid, objid, pid from pg_locks where locktype = 'advisory'"
            " and database = (select oid from pg_database where datname = current_database())"
            " order by 1, 2, 3"
        )
        return found

    # -- time -----------------------------------------------------------------------------------

    def set_clock(self, clock: str | None) -> None:
        """This session lives at that time (None: real time)."""
        self.run("select set_config('pgtasker.clock', %s, false)", clock or "")

    def move_clock(self, seconds: float) -> None:
        """Move the time of every session of this database."""
        self.database.set_clock((self.call("clock") + timedelta(seconds=seconds)).isoformat())

    def wait(self, seconds: float) -> None:
        """Time goes by: the runner of this session stays alive and somebody calls maintain."""
        while seconds > 0:
            self.call("heartbeat", runner_id=self.runner)
            self.move_clock(min(seconds, 10))
            self.call("maintain")
            seconds -= 10

    # -- transactions and races -----------------------------------------------------------------

    def begin(self) -> None:
        """Begin a transaction (READ COMMITTED)."""
        self.run("begin")

    def commit(self) -> None:
        """Commit."""
        self.run("commit")

    def rollback(self) -> None:
        """Roll back."""
        self.run("rollback")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction, committed at its end."""
        with self.conn.transaction():
            yield

    def later(self, act: Callable[..., Any], *arguments: Any, **more: Any) -> Pending:
        """Begin something in this session in the background; see `Pending`."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=self.name)
        return Pending(self, self._thread.submit(act, *arguments, **more))

    def restart(self) -> None:
        """As if just connected, but with its compiled functions and plans."""
        self._runner = None
        if self.conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            self.conn.rollback()
        self.run("select pg_advisory_unlock_all()")
        self.run("unlisten *")
        self.run("reset all")
        self.conn.execute("select 1 from pg_stat_clear_snapshot()")
        list(self.conn.notifies(timeout=0))

    def die(self) -> None:
        """End the server process of this session, as a crash would, and see it gone."""
        observer = self.database.observer
        assert observer.one("select pg_terminate_backend(%s, 10000)", self.pid)
        self.database.sessions.remove(self)
        self.conn.close()

    def close(self) -> None:
        """Close the connection, whatever it is doing."""
        if self._thread is not None:
            self.conn.cancel_safe()
            self._thread.shutdown(wait=True)
        self.conn.close()


class Pending:
    """Something that a session is doing in the background."""

    def __init__(self, session: Session, future: Future[Any]) -> None:
        self._session = session
        self._future = future

    def blocked_by(self, other: Session) -> Pending:
        """Wait until it waits for a lock that the other session holds; itself, to chain."""
        observer = self._session.database.observer
        deadline = time.monotonic() + PATIENCE
        while other.pid not in observer.one("select pg_blocking_pids(%s)", self._session.pid):
            assert time.monotonic() < deadline, f"{self._session.name} is not blocked"
            try:
                done = self._future.result(timeout=0.002)
            except NotYet:
                continue
            raise AssertionError(f"{self._session.name} was not blocked, it got {done!r}")
        return self

    def finished_or_blocked(self) -> Pending:
        """Wait until it is done, or waits for a lock that any other session holds; itself."""
        observer = self._session.database.observer
        while not self._future.done():
            if observer.one("select pg_blocking_pids(%s)", self._session.pid):
                break
            wait([self._future], timeout=0.001)
        return self

    def is_done(self) -> bool:
        """Whether it came to its end."""
        return self._future.done()

    def result(self) -> Any:
        """Wait for its end: its result, or its error raised."""
        return self._future.result(timeout=PATIENCE)


def _held(claimed: Row) -> dict[str, int]:
    return {"workflow_step_id": claimed.workflow_step_id, "claim_id": claimed.claim_id}
