"""Prepared tasks in which operations meet, and a database that is put back into them at once.

Building a shape takes some thirty calls, so each is built once per worker; its rows are kept beside
the install and copied back before each case (2 ms instead of 25).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from ..support.databases import Database
from ..support.graph import workflow
from ..support.session import Session

State = tuple[tuple[Any, ...], ...]
STATE = """
    select
        dense_rank() over (order by step.task_id),
        task.state as task, task.paused, task.failures, task.transition_count as task_length,
        task_log.to_state as task_said, task_log.paused as task_said_paused,
        step.state, step.attempts, step.due_at, step.transition_count, step.unsatisfied_parents,
        step.runner_id, step_log.to_state as said, step_log.attempts as said_attempts,
        step_log.due_at as said_due_at, step_log.runner_id as said_runner_id,
        waiting.position is not null as waits, waiting.due_at as waits_for, waiting.priority,
        waiting.queue, claim.runner_id as claimed_by, claim.timeout_at
    from tasks task
    join workflow_steps step on step.task_id = task.task_id
    left join task_transitions task_log on task_log.task_id = task.task_id and task_log.most_recent
    left join workflow_step_transitions step_log
        on step_log.workflow_step_id = step.workflow_step_id and step_log.most_recent
    left join step_queue waiting on waiting.workflow_step_id = step.workflow_step_id
    full join _held_claims claim
        on claim.workflow_step_id = step.workflow_step_id and claim.claim_id = step.claim_id
    order by step.workflow_step_id
"""

BACKOFF = {"backoff": {"base": 1, "jitter": False}}


@dataclass
class Shape:
    """Ids of one prepared task: its steps, the claims of those that run, its runners."""

    task: int
    steps: dict[str, int]
    claims: dict[str, int] = field(default_factory=dict)
    runners: dict[str, int] = field(default_factory=dict)

    def held(self, step: str) -> dict[str, int]:
        """The arguments that name the claim of a running step."""
        return {"workflow_step_id": self.steps[step], "claim_id": self.claims[step]}


def _started(db: Session, edges: str, steps: dict[str, dict[str, Any]]) -> Shape:
    db.call("register_workflow", definition=workflow(edges, steps=steps))
    task = db.start()
    return Shape(task, {step.name: step.workflow_step_id for step in db.steps(task)})


def _claim(db: Session, shape: Shape, runner: str) -> None:
    for step in db.claim(100, shape.runners[runner]):
        shape.claims[step.step_name] = step.claim_id


def _finish(db: Session, shape: Shape, verb: str, step: str, **more: Any) -> None:
    db.call(verb, **shape.held(step), **more)
    del shape.claims[step]


def build_idle(db: Session) -> Shape:
    """A task that nobody has claimed yet; the queue `paused` is."""
    shape = _started(db, "root->leaf", {})
    shape.runners["other"] = db.register("default", name="other")
    db.call("pause_queue", queue="paused")
    return shape


def build_busy(db: Session) -> Shape:
    """A task in which everything is under way at once.

    `running` and `late` (past its timeout) are held by `alive`, `lost` by `gone` (its lease is
    over); `broken` failed for good, `due` waits for a retry whose time has come, `ready` for a
    runner. Each two of them have a child in common.
    """
    retried = {"retry_limit": 3, **BACKOFF}
    shape = _started(
        db,
        "first->running->j1 first->ready->j1 first->late->j2 first->lost->j2"
        " first->broken->j3 first->due->j3",
        {
            "running": retried,
            "late": {"timeout": 5, **retried},
            "lost": {"queue": "gone", **retried},
            "broken": retried,
            "due": retried,
            "ready": {"queue": "free", "skippable": True},
            "j1": {"skippable": True},
            "j3": {"skippable": True},
        },
    )
    shape.runners["alive"] = db.register("default", name="alive")
    _claim(db, shape, "alive")
    _finish(db, shape, "complete_step", "first")
    shape.runners["gone"] = db.register("gone", name="gone")
    _claim(db, shape, "gone")
    _claim(db, shape, "alive")
    _finish(db, shape, "fail_step", "broken", error={"message": "broken"}, retryable=False)
    _finish(db, shape, "fail_step", "due", error={"message": "once"})
    for _ in range(2):
        db.move_clock(10)
        db.call("heartbeat", runner_id=shape.runners["alive"])
    shape.runners["other"] = db.register("default", "gone", "free", name="other")
    return shape


def build_paused(db: Session) -> Shape:
    """The same, but the task is paused."""
    shape = build_busy(db)
    db.call("pause_task", task_id=shape.task)
    return shape


def build_failed(db: Session) -> Shape:
    """A task in error: `broken` failed for good, `child` waits for it for ever."""
    shape = _started(
        db, "broken->child fine->child", {"child": {"skippable": True}, "broken": BACKOFF}
    )
    shape.runners["other"] = db.register(name="other")
    _claim(db, shape, "other")
    _finish(db, shape, "complete_step", "fine")
    _finish(db, shape, "fail_step", "broken", error={"message": "broken"}, retryable=False)
    return shape


def _two_running(db: Session, edges: str) -> Shape:
    late = {"timeout": 5, "retry_limit": 1}
    shape = _started(db, edges, {"x": BACKOFF, "y": late})
    shape.runners["alive"] = shape.runners["other"] = db.register(name="alive")
    _claim(db, shape, "alive")
    db.move_clock(10)
    db.call("heartbeat", runner_id=shape.runners["alive"])
    return shape


def build_leaves(db: Session) -> Shape:
    """Nothing is left but two leaves, `x` and `y`, which run; `y` is past its timeout."""
    return _two_running(db, "x y")


def build_parents(db: Session) -> Shape:
    """`join` waits for two parents, `x` and `y`, which run; `y` is past its timeout."""
    return _two_running(db, "x->join y->join")


SHAPES: dict[str, Callable[[Session], Shape]] = {
    "idle": build_idle,
    "busy": build_busy,
    "paused": build_paused,
    "failed": build_failed,
    "leaves": build_leaves,
    "parents": build_parents,
}


class Arena:
    """A database of its own, two sessions that race, and the shapes to race in."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.main = database.main
        self.tables = self.main.tables()
        self.shapes: dict[str, Shape] = {}
        self.clocks: dict[str, str | None] = {}
        self.scripts: dict[str, str] = {}
        self.memory: dict[Any, Any] = {}
        self.checked: set[State] = set()
        self.restored = 0
        database.remember_baseline()
        self.one = database.connect("one")
        self.two = database.connect("two")
        # Where rows cannot be put back behind the triggers, the shape is built anew each time.
        self.quick = self.main.one("select rolsuper from pg_roles where rolname = current_user")

    def restore(self, name: str) -> Shape:
        """Put the database into a shape."""
        if name not in self.scripts:
            self.database.reset()
            self.shapes[name] = SHAPES[name](self.main)
            self.clocks[name] = self.database.clock
            if self.quick:
                self.scripts[name] = self._keep(f"shape_{name}")
        else:
            self.main.run(self.scripts[name])
            self.restored += 1
            if self.restored % 50 == 0:
                # The test servers have no autovacuum, and rows that are dead cost time.
                self.main.run(f"vacuum {', '.join(self.tables)}")
        if self.database.clock != self.clocks[name]:
            self.database.set_clock(self.clocks[name])
        return self.shapes[name]

    def _keep(self, schema: str) -> str:
        """Keep what the tables hold; the script that puts it back."""
        main, install = self.main, self.database.schema
        script = [sql.SQL("begin; set local session_replication_role = replica")]
        main.conn.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
        for table in self.tables:
            names = {"live": sql.Identifier(install, table), "kept": sql.Identifier(schema, table)}
            columns = sql.SQL(", ").join(map(sql.Identifier, self._columns(table)))
            script.append(sql.SQL("delete from {live}").format(**names))
            if main.one(f"select exists (table {table})"):
                main.conn.execute(sql.SQL("create table {kept} as table {live}").format(**names))
                script.append(
                    sql.SQL(
                        "insert into {live} ({columns}) overriding system value"
                        " select {columns} from {kept}"
                    ).format(columns=columns, **names)
                )
        positions = main.rows(
            "select format('%%I.%%I', schemaname, sequencename), coalesce(last_value, start_value),"
            " last_value is not null from pg_sequences where schemaname = %s",
            install,
        )
        for sequence, value, called in positions:
            script.append(sql.SQL("select setval({}, {}, {})").format(sequence, value, called))
        script.append(sql.SQL("commit"))
        return sql.SQL("; ").join(script).as_string(main.conn)

    def _columns(self, table: str) -> list[str]:
        return self.main.column(
            "select attname::text from pg_attribute where attrelid = %s::regclass and attnum > 0"
            " and attgenerated = '' and not attisdropped order by attnum",
            table,
        )

    def state(self) -> State:
        """All that is known of every task and step, but for ids that a rollback leaves out."""
        return tuple(tuple(row) for row in self.main.rows(STATE))

    def consistent_state(self) -> State:
        """The same, after the engine found nothing wrong; a state seen before was checked then."""
        state = self.state()
        if state not in self.checked:
            self.main.assert_consistent()
            self.checked.add(state)
        return state
