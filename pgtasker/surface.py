"""The SQL surface as Python sees it: one function here for each function there that Python calls.

Responsible for all SQL text in Python that speaks to the engine. Each function below builds a
`Call`, which is only data: what to send and how to read the answer; `execute` and `execute_async`
send it, qualified with the schema of the install and never by way of the search_path. Whose
connection that is, when it is committed and what to do about an error is left to the caller.

An argument that is None is not sent, so that the defaults of the database hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, LiteralString, TypeVar

from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Composable, Composed, Identifier, Placeholder
from psycopg.types.json import Jsonb, JsonbLoader

from pgtasker import payload
from pgtasker.errors import translated
from pgtasker.rows import (
    Advance,
    ClaimedStep,
    Explanation,
    HistoryEntry,
    Json,
    QueueRow,
    Row,
    RunnerRow,
    StepReadinessStatus,
    Task,
    TaskExecutionContext,
    TaskListEntry,
    TaskState,
    TaskStep,
    Violation,
)

T = TypeVar("T")
R = TypeVar("R", bound=Row)
Rows = Sequence[DictRow]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One statement: `{schema}` in its text is the schema of the install."""

    text: SQL
    arguments: Mapping[str, object]
    read: Callable[[Rows], T]
    parts: Mapping[str, Composable] | None = None

    def query(self, schema: str) -> Composed:
        """The statement for an install in this schema."""
        return self.text.format(schema=Identifier(schema), **(self.parts or {}))


def execute(connection: Connection[Any], schema: str, call: Call[T]) -> T:
    """Send a call and read its answer."""
    with translated(), connection.cursor(row_factory=dict_row) as cursor:
        _read_json(cursor)
        cursor.execute(call.query(schema), call.arguments)
        return call.read(cursor.fetchall() if cursor.description else [])


async def execute_async(connection: AsyncConnection[Any], schema: str, call: Call[T]) -> T:
    """Send a call and read its answer, on an asynchronous connection."""
    with translated():
        async with connection.cursor(row_factory=dict_row) as cursor:
            _read_json(cursor)
            await cursor.execute(call.query(schema), call.arguments)
            return call.read(await cursor.fetchall() if cursor.description else [])


# How answers are read.


def _read_json(cursor: Cursor[Any] | AsyncCursor[Any]) -> None:
    """Whatever the connection makes of jsonb: Django's leaves it as text, for its own fields."""
    cursor.adapters.register_loader("jsonb", JsonbLoader)


def _nothing(rows: Rows) -> None:
    return None


def _value(rows: Rows) -> Any:
    return next(iter(rows[0].values()))


def _column(rows: Rows) -> list[Any]:
    return [next(iter(row.values())) for row in rows]


def _one(row_class: type[R]) -> Callable[[Rows], R]:
    return lambda rows: row_class.read(rows[0])


def _all(row_class: type[R]) -> Callable[[Rows], list[R]]:
    return lambda rows: [row_class.read(row) for row in rows]


# How calls are built.


def _json(value: Json, what: str) -> Jsonb:
    text = payload.dump(value, what)  # now, so that the error comes before anything is sent
    return Jsonb(value, dumps=lambda _: text)


def _call(name: LiteralString, read: Callable[[Rows], T], /, **arguments: object) -> Call[T]:
    """A call of a function of the surface by named notation."""
    given = {key: value for key, value in arguments.items() if value is not None}
    notation = SQL(", ").join(
        [SQL("{} => {}").format(Identifier(key), Placeholder(key)) for key in given]
    )
    return Call(
        SQL("select * from {schema}.{function}({arguments})"),
        given,
        read,
        {"function": Identifier(name), "arguments": notation},
    )


# Define and start.


def register_workflow(definition: Mapping[str, Json], *, replace: bool = True) -> Call[int]:
    """Store a workflow; answers the id of the named task."""
    document = _json(dict(definition), "the definition")
    return _call("register_workflow", _value, definition=document, replace=replace)


def register_workflows(
    definitions: Sequence[Mapping[str, Json]], *, replace: bool = True
) -> Call[list[int]]:
    """Store definitions, all or none; answers the ids of their named tasks in the same order."""
    documents = [_json(dict(definition), "the definition") for definition in definitions]
    return Call(
        # One after the other in the order of their names, whatever order others register them in.
        SQL("""
            select stored.named_task_id
            from (
                select
                    given.place,
                    {schema}.register_workflow(
                        definition => given.definition, replace => %(replace)s
                    ) as named_task_id
                from (
                    select document.definition, document.place
                    from unnest(%(definitions)s::jsonb[])
                        with ordinality as document (definition, place)
                    order by
                        coalesce(document.definition ->> 'namespace', 'default'),
                        document.definition ->> 'name',
                        document.place
                    offset 0
                ) as given
                offset 0
            ) as stored
            order by stored.place
        """),
        {"definitions": documents, "replace": replace},
        _column,
    )


def create_task(
    name: str,
    context: Json = None,
    *,
    namespace: str | None = None,
    version: str | None = None,
    idempotency_key: str | None = None,
    priority: int | None = None,
    run_at: datetime | None = None,
    initiator: str | None = None,
    source_system: str | None = None,
    reason: str | None = None,
    tags: Sequence[str] | None = None,
    bypass_steps: Sequence[str] | None = None,
) -> Call[int]:
    """Start one task; answers its task_id."""
    return _call(
        "create_task",
        _value,
        name=name,
        context=None if context is None else _json(context, "the context"),
        namespace=namespace,
        version=version,
        idempotency_key=idempotency_key,
        priority=priority,
        run_at=run_at,
        initiator=initiator,
        source_system=source_system,
        reason=reason,
        tags=None if tags is None else list(tags),
        bypass_steps=None if bypass_steps is None else list(bypass_steps),
    )


def create_tasks(
    name: str,
    contexts: Sequence[Json],
    *,
    namespace: str | None = None,
    version: str | None = None,
    idempotency_keys: Sequence[str | None] | None = None,
    priority: int | None = None,
    run_at: datetime | None = None,
    initiator: str | None = None,
    source_system: str | None = None,
    reason: str | None = None,
    tags: Sequence[str] | None = None,
) -> Call[list[int]]:
    """Start one task per context; answers their task_ids in the order of the contexts."""
    return _call(
        "create_tasks",
        _column,
        name=name,
        contexts=[_json(context, "a context") for context in contexts],
        namespace=namespace,
        version=version,
        idempotency_keys=None if idempotency_keys is None else list(idempotency_keys),
        priority=priority,
        run_at=run_at,
        initiator=initiator,
        source_system=source_system,
        reason=reason,
        tags=None if tags is None else list(tags),
    )


# Operate.


Verb = Literal[
    "cancel_task",
    "pause_task",
    "resume_task",
    "retry_task",
    "resolve_task",
    "retry_step",
    "resolve_step",
    "skip_step",
    "pause_queue",
    "resume_queue",
]


def operate(
    verb: Verb, on: int | str, *, reason: str | None, actor: str | None, results: Json = None
) -> Call[None]:
    """Do one of the verbs on a task_id, a workflow_step_id or a queue, as its name says.

    `results` is for `resolve_step` alone: what the children of the step receive.
    """
    subject = {"task": "task_id", "step": "workflow_step_id", "queue": "queue"}
    arguments: dict[str, object] = {
        subject[verb.rpartition("_")[2]]: on,
        "results": None if results is None else _json(results, "the results"),
        "reason": reason,
        "actor": actor,
    }
    return _call(verb, _nothing, **arguments)


# Execute.


def register_runner(name: str, queues: Sequence[str], metadata: Mapping[str, Json]) -> Call[int]:
    """Register a runner on the connection that stands for it; answers its runner_id."""
    document = _json(dict(metadata), "the metadata")
    return _call("register_runner", _value, name=name, queues=list(queues), metadata=document)


def heartbeat(runner_id: int, held: Sequence[int] | None) -> Call[list[int]]:
    """Renew the lease; answers those of the held claim_ids that are no longer valid."""
    claims = None if held is None else list(held)
    return _call("heartbeat", _column, runner_id=runner_id, held=claims)


def deregister_runner(runner_id: int) -> Call[None]:
    """End a runner; what it still holds goes back without using up an attempt."""
    return _call("deregister_runner", _nothing, runner_id=runner_id)


def extend_step(
    workflow_step_id: int, claim_id: int, timeout: timedelta | None, progress: Json
) -> Call[None]:
    """Give a running attempt more time, or record its progress, or both."""
    return _call(
        "extend_step",
        _nothing,
        workflow_step_id=workflow_step_id,
        claim_id=claim_id,
        timeout=timeout,
        progress=None if progress is None else _json(progress, "the progress"),
    )


def advance(runner_id: int, outcomes: Sequence[str], max_steps: int) -> Call[Advance]:
    """Report outcomes, each as JSON text, and claim up to max_steps steps."""
    document = Jsonb(outcomes, dumps=lambda texts: "[" + ",".join(texts) + "]")
    return _call(
        "advance", _read_advance, runner_id=runner_id, outcomes=document, max_steps=max_steps
    )


def _read_advance(rows: Rows) -> Advance:
    row = rows[0]
    claimed = [ClaimedStep.read(claim) for claim in row["claimed"] or []]
    return Advance(lost=row["lost"] or [], claimed=claimed)


def maintain() -> Call[float]:
    """Do what is due; answers in how many seconds to call again."""
    return Call(
        SQL("""
            select extract(epoch from m.next_at - {schema}.clock())::double precision
            from {schema}.maintain() as m(next_at)
        """),
        {},
        _value,
    )


def wake_up_channel(runner_id: int) -> Call[str]:
    """The name of the channel on which a runner is woken."""
    return _call("wake_up_channel", _value, runner_id=runner_id)


def listen(channel: str) -> Call[None]:
    """Receive the notifications of a channel on this connection."""
    return Call(SQL("listen {channel}"), {}, _nothing, {"channel": Identifier(channel)})


def queue_outlook(queues: Sequence[str]) -> Call[tuple[int, float | None]]:
    """How many steps are ready in queues that are not paused, and in how many seconds more are."""
    return Call(
        SQL("""
            select
                coalesce(sum(q.depth), 0)::bigint as ready,
                extract(epoch from min(q.next_due_at) - {schema}.clock())::double precision
                    as due_in
            from {schema}.list_queues() as q
            where q.queue = any (%(queues)s) and not q.paused
        """),
        {"queues": list(queues)},
        lambda rows: (rows[0]["ready"], rows[0]["due_in"]),
    )


def setting_seconds(name: str) -> Call[float]:
    """A setting that is a time, in seconds."""
    return Call(
        SQL("""
            select extract(epoch from {schema}.get_setting(name => %(name)s)::interval)
                ::double precision
        """),
        {"name": name},
        _value,
    )


# Look.


def get_task(task_id: int) -> Call[Task]:
    """Everything about one task."""
    return _call("get_task", _one(Task), task_id=task_id)


def get_tasks(task_ids: Sequence[int]) -> Call[list[Task]]:
    """Everything about some tasks, in the order of the ids."""
    return Call(
        SQL("""
            select task.*
            from unnest(%(task_ids)s::bigint[]) with ordinality as given (task_id, place)
            cross join lateral {schema}.get_task(task_id => given.task_id) as task
            order by given.place
        """),
        {"task_ids": list(task_ids)},
        _all(Task),
    )


def task_states(task_ids: Sequence[int]) -> Call[list[TaskState]]:
    """In which state some tasks are; those that do not exist are left out."""
    return Call(
        SQL("""
            select task.task_id, task.state, task.complete or task.state = 'error' as at_rest
            from {schema}.task_list as task
            where task.task_id = any (%(task_ids)s::bigint[])
        """),
        {"task_ids": list(task_ids)},
        _all(TaskState),
    )


def watch_tasks(task_ids: Sequence[int], channel: str) -> Call[list[TaskState]]:
    """Ask for a notification when each comes to rest; answers as `task_states` does."""
    return Call(
        SQL("""
            select
                task.task_id,
                task.state,
                not {schema}.watch_task(task_id => task.task_id, channel => %(channel)s) as at_rest
            from {schema}.task_list as task
            where task.task_id = any (%(task_ids)s::bigint[])
        """),
        {"task_ids": list(task_ids), "channel": channel},
        _all(TaskState),
    )


def get_step_readiness_status(
    task_id: int, step_ids: Sequence[int] | None
) -> Call[list[StepReadinessStatus]]:
    """Could the steps of a task run now, and if not, what is missing?"""
    return _call(
        "get_step_readiness_status",
        _all(StepReadinessStatus),
        task_id=task_id,
        step_ids=None if step_ids is None else list(step_ids),
    )


def get_task_execution_context(task_id: int) -> Call[TaskExecutionContext]:
    """How a task stands as a whole, and what it waits for."""
    return _call("get_task_execution_context", _one(TaskExecutionContext), task_id=task_id)


def get_task_steps(task_id: int) -> Call[list[TaskStep]]:
    """The steps of a task, parents first."""
    return _call("get_task_steps", _all(TaskStep), task_id=task_id)


def get_task_history(task_id: int) -> Call[list[HistoryEntry]]:
    """The log of a task and its steps, in order."""
    return _call("get_task_history", _all(HistoryEntry), task_id=task_id)


def task_list(
    *, namespace: str | None, name: str | None, state: str | None, tag: str | None, limit: int
) -> Call[list[TaskListEntry]]:
    """The newest tasks that match every filter given."""
    filters: dict[LiteralString, object] = {
        "t.namespace = %(namespace)s": namespace,
        "t.name = %(name)s": name,
        "t.state = %(state)s": state,
        "%(tag)s = any (t.tags)": tag,
    }
    wanted = [SQL(text) for text, value in filters.items() if value is not None]
    arguments = {"namespace": namespace, "name": name, "state": state, "tag": tag, "limit": limit}
    return Call(
        SQL("""
            select t.*
            from {schema}.task_list as t
            where {wanted}
            order by t.task_id desc
            limit %(limit)s
        """),
        arguments,
        _all(TaskListEntry),
        {"wanted": SQL(" and ").join(wanted or [SQL("true")])},
    )


def list_runners() -> Call[list[RunnerRow]]:
    """Every runner the install remembers."""
    return _call("list_runners", _all(RunnerRow))


def list_queues() -> Call[list[QueueRow]]:
    """Every queue, with what waits in it."""
    return _call("list_queues", _all(QueueRow))


def explain_step(workflow_step_id: int) -> Call[list[Explanation]]:
    """Why a step is not running, the most important reason first."""
    return _call("explain_step", _all(Explanation), workflow_step_id=workflow_step_id)


def step_place(workflow_step_id: int) -> Call[tuple[int, str] | None]:
    """The task_id and the name of a step; None if there is no such step."""
    return Call(
        SQL("""
            select s.task_id, s.name
            from {schema}.step_readiness_statuses as s
            where s.workflow_step_id = %(workflow_step_id)s
        """),
        {"workflow_step_id": workflow_step_id},
        lambda rows: (rows[0]["task_id"], rows[0]["name"]) if rows else None,
    )


def check_consistency() -> Call[list[Violation]]:
    """Every broken invariant; none means healthy."""
    return _call("check_consistency", _all(Violation))


def get_setting(name: str) -> Call[str]:
    """A setting, as text."""
    return _call("get_setting", _value, name=name)


def set_setting(name: str, value: str) -> Call[None]:
    """Change a setting of the install."""
    return _call("set_setting", _nothing, name=name, value=value)


# Tests: what `pgtasker.testing` asks beside the rest.


def clock() -> Call[datetime]:
    """The time the engine goes by, in this session."""
    return _call("clock", _value)


def session_clock() -> Call[str]:
    """The time at which this session was made to stand; "" is real time."""
    return Call(SQL("select coalesce(current_setting('pgtasker.clock', true), '')"), {}, _value)


def set_session_clock(moment: str) -> Call[None]:
    """Let this session stand at that time ("": real time); only an install for tests obeys."""
    text = SQL("select set_config('pgtasker.clock', %(moment)s, false)")
    return Call(text, {"moment": moment}, _nothing)


def outlook(task_ids: Sequence[int]) -> Call[dict[int, datetime | None]]:
    """Those of the tasks that are not at rest, each with the time at which it goes on by itself."""
    return Call(
        SQL("""
            select
                t.task_id,
                min(greatest(s.due_at, t.run_at)) filter (
                    where not t.paused
                        and s.state in ('pending', 'error')
                        and greatest(s.due_at, t.run_at) > {schema}.clock()
                ) as due_at
            from {schema}.task_list as t
            cross join lateral {schema}.get_task_steps(task_id => t.task_id) as s
            where t.task_id = any (%(task_ids)s) and t.state in ('pending', 'in_progress')
            group by t.task_id
        """),
        {"task_ids": list(task_ids)},
        lambda rows: {row["task_id"]: row["due_at"] for row in rows},
    )
