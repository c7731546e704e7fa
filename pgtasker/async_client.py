"""The asynchronous client: start tasks, look at them, operate on them.

Responsible for whose connection is used. Given a connection of the caller's, everything joins the
caller's transaction and nothing is committed or closed here; given a DSN, a connection is opened
when first needed and each call is a transaction of its own. What is sent is left to `surface`.

The synchronous client is generated from this module by tools/generate_sync_client.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus

from pgtasker import surface
from pgtasker.dsn import connection_string, resolve_dsn, resolve_schema
from pgtasker.errors import ConfigurationError
from pgtasker.rows import (
    Explanation,
    HistoryEntry,
    Json,
    QueueRow,
    RunnerRow,
    Task,
    TaskListEntry,
    TaskStep,
    Violation,
)
from pgtasker.workflow import Workflow, identity

T = TypeVar("T")

SHORTEST_POLL = 0.05  # seconds between two looks of `wait`, growing
LONGEST_POLL = 1.0


class AsyncClient:
    """Starts and inspects tasks, from asyncio.

    `database` is a DSN, an open psycopg connection, or None: then PGTASKER_DSN or libpq's
    environment says where. The schema is `schema`, else PGTASKER_SCHEMA, else `pgtasker`.
    """

    def __init__(
        self, database: str | AsyncConnection[Any] | None = None, *, schema: str | None = None
    ) -> None:
        self._schema = resolve_schema(schema)
        self._joined = None if isinstance(database, str) else database
        self._dsn = database if isinstance(database, str) else None
        self._own: AsyncConnection[Any] | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the client's own connection; one of the caller's stays open."""
        if self._own is not None:
            await self._own.close()
            self._own = None

    async def call(self, call: surface.Call[T]) -> T:
        """Send any call of `pgtasker.surface`."""
        return await surface.execute_async(await self._connection(), self._schema, call)

    async def _connection(self) -> AsyncConnection[Any]:
        if self._joined is not None:
            return self._joined
        async with self._opening:
            if self._own is None or self._own.closed:
                dsn = connection_string(resolve_dsn(self._dsn))
                self._own = await AsyncConnection.connect(dsn, autocommit=True)
            return self._own

    # Define and start.

    async def register(
        self, workflow: Workflow | Mapping[str, Json], *, replace: bool = True
    ) -> int:
        """Store a workflow or a definition document; answers the id of the named task."""
        document = workflow.definition() if isinstance(workflow, Workflow) else workflow
        return await self.call(surface.register_workflow(document, replace=replace))

    async def start(
        self,
        workflow: Workflow | str,
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
    ) -> int:
        """Start a task and answer its task_id.

        A `Workflow` stands for its own namespace, name and version; "NAMESPACE/NAME", or a name
        alone (in the namespace `default`), for its highest version. Raises UnknownWorkflow, and
        IdempotencyConflict if the key is taken by a task with other content.
        """
        return await self.call(
            surface.create_task(
                **identity(workflow, namespace, version),
                context=context,
                idempotency_key=idempotency_key,
                priority=priority,
                run_at=run_at,
                initiator=initiator,
                source_system=source_system,
                reason=reason,
                tags=tags,
                bypass_steps=bypass_steps,
            )
        )

    async def start_many(
        self,
        workflow: Workflow | str,
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
    ) -> list[int]:
        """Start one task per context, in one call; answers their task_ids in the same order."""
        return await self.call(
            surface.create_tasks(
                **identity(workflow, namespace, version),
                contexts=contexts,
                idempotency_keys=idempotency_keys,
                priority=priority,
                run_at=run_at,
                initiator=initiator,
                source_system=source_system,
                reason=reason,
                tags=tags,
            )
        )

    async def wait(self, task_id: int, *, timeout: float | None = None) -> Task:
        """Wait until nothing more happens to a task by itself: it is final, or in error.

        Raises TimeoutError after `timeout` seconds. A task started in the caller's transaction must
        be committed first: until then no runner sees it.
        """
        connection = await self._connection()
        if connection.info.transaction_status == TransactionStatus.INTRANS:
            raise ConfigurationError("cannot wait inside a transaction: commit it first")
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = SHORTEST_POLL
        while True:
            task = await self.get_task(task_id)
            if not connection.autocommit:
                await connection.rollback()
            if task.at_rest:
                return task
            if deadline is not None and time.monotonic() + pause > deadline:
                raise TimeoutError(f"task {task_id} is still {task.state} after {timeout} s")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL)

    # Look.

    async def get_task(self, task_id: int) -> Task:
        """Everything about one task."""
        return await self.call(surface.get_task(task_id))

    async def get_task_steps(self, task_id: int) -> list[TaskStep]:
        """The steps of a task, parents first."""
        return await self.call(surface.get_task_steps(task_id))

    async def get_task_history(self, task_id: int) -> list[HistoryEntry]:
        """The log of a task and its steps, in order."""
        return await self.call(surface.get_task_history(task_id))

    async def list_tasks(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        state: str | None = None,
        tag: str | None = None,
        limit: int = 100,
    ) -> list[TaskListEntry]:
        """The newest tasks that match every filter given."""
        return await self.call(
            surface.task_list(namespace=namespace, name=name, state=state, tag=tag, limit=limit)
        )

    async def list_runners(self) -> list[RunnerRow]:
        """The runners the database knows."""
        return await self.call(surface.list_runners())

    async def list_queues(self) -> list[QueueRow]:
        """The queues, with what waits in them."""
        return await self.call(surface.list_queues())

    async def explain_step(self, workflow_step_id: int) -> list[Explanation]:
        """Why a step is not running, the most important reason first."""
        return await self.call(surface.explain_step(workflow_step_id))

    async def check_consistency(self) -> list[Violation]:
        """Every broken invariant of the install; none means healthy."""
        return await self.call(surface.check_consistency())

    # Operate. `actor` is who does it, the database user unless given; both are kept in the log.

    async def cancel_task(
        self, task_id: int, *, reason: str | None = None, actor: str | None = None
    ) -> None:
        """Cancel a task and every step of it that is not final."""
        await self.call(surface.operate("cancel_task", task_id, reason=reason, actor=actor))

    async def pause_task(
        self, task_id: int, *, reason: str | None = None, actor: str | None = None
    ) -> None:
        """Let no further step of a task start."""
        await self.call(surface.operate("pause_task", task_id, reason=reason, actor=actor))

    async def resume_task(
        self, task_id: int, *, reason: str | None = None, actor: str | None = None
    ) -> None:
        """Let a paused task go on."""
        await self.call(surface.operate("resume_task", task_id, reason=reason, actor=actor))

    async def retry_task(
        self, task_id: int, *, reason: str | None = None, actor: str | None = None
    ) -> None:
        """Give the failed steps of a task a new round of attempts."""
        await self.call(surface.operate("retry_task", task_id, reason=reason, actor=actor))

    async def resolve_task(
        self, task_id: int, *, reason: str | None = None, actor: str | None = None
    ) -> None:
        """Declare a failed task dealt with by hand."""
        await self.call(surface.operate("resolve_task", task_id, reason=reason, actor=actor))

    async def retry_step(
        self, workflow_step_id: int, *, reason: str | None = None, actor: str | None = None
    ) -> None:
        """Give a failed step a new round of attempts."""
        await self.call(surface.operate("retry_step", workflow_step_id, reason=reason, actor=actor))

    async def resolve_step(
        self,
        workflow_step_id: int,
        results: Json = None,
        *,
        reason: str | None = None,
        actor: str | None = None,
    ) -> None:
        """Declare a step done by hand, with the results its children receive."""
        await self.call(
            surface.operate(
                "resolve_step", workflow_step_id, results=results, reason=reason, actor=actor
            )
        )

    async def skip_step(
        self, workflow_step_id: int, *, reason: str | None = None, actor: str | None = None
    ) -> None:
        """Pass over a step that is declared skippable."""
        await self.call(surface.operate("skip_step", workflow_step_id, reason=reason, actor=actor))

    async def pause_queue(
        self, queue: str, *, reason: str | None = None, actor: str | None = None
    ) -> None:
        """Let no step of a queue start."""
        await self.call(surface.operate("pause_queue", queue, reason=reason, actor=actor))

    async def resume_queue(
        self, queue: str, *, reason: str | None = None, actor: str | None = None
    ) -> None:
        """Let a paused queue go on."""
        await self.call(surface.operate("resume_queue", queue, reason=reason, actor=actor))
