"""The asynchronous client: start tasks, look at them, operate on them.

Responsible for what a user calls. Whose connection and transaction that is, is left to
`async_access`, waiting to `async_waiting`, looking to `async_looking`, what is sent to `surface`.

The synchronous twin is generated from this module by tools/generate_sync_client.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from psycopg import AsyncConnection

from pgtasker import surface
from pgtasker.clients.async_access import access_to
from pgtasker.clients.async_looking import _Looking
from pgtasker.clients.async_reading import reading_from
from pgtasker.clients.async_waiting import AsyncWaiting
from pgtasker.codec import Codec, encoded, readable, registrable
from pgtasker.dsn import resolve_schema
from pgtasker.rows import Json, Task
from pgtasker.workflow import Workflow, identity

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

T = TypeVar("T")


class AsyncClient(_Looking):
    """Starts and inspects tasks, from asyncio.

    `database` is one of

    - a DSN, or None: then PGTASKER_DSN or libpq's environment says where. A connection is opened
      when first needed; each call is a transaction of its own.
    - an open psycopg connection: every call joins the transaction of that connection, nothing is
      committed, and the connection is left open. This is how starting a task becomes part of a
      transaction of the application.
    - a psycopg_pool pool: each call borrows a connection for a transaction of its own.

    The schema is `schema`, else PGTASKER_SCHEMA, else `pgtasker`. Raises ConfigurationError for
    anything else, and for what is closed.

    `replica` is a DSN or a pool from which to read: queries, `get_...`, `list_...`, graphs and
    figures, not what describes the server that works (`get_system_health_counts`,
    `monitoring_metrics`, `explain_step`, `check_consistency`). Where neither it nor a database is
    given, PGTASKER_REPLICA_DSN counts; "" is none. A replica is a moment behind. What it does not
    have yet is read from the primary, and so is everything for half a minute after it did not
    answer, and while a transaction of a connection given is open.

    `codec` encodes contexts and results before they are sent and decodes them after they were read:
    see `Codec`. Runners need the same one.
    """

    def __init__(
        self,
        database: str | AsyncConnection[Any] | AsyncConnectionPool[Any] | None = None,
        *,
        schema: str | None = None,
        replica: str | AsyncConnectionPool[Any] | None = None,
        codec: Codec | None = None,
    ) -> None:
        self._codec = codec
        self._schema = resolve_schema(schema)
        self._access = access_to(database, self._schema)
        self._reading = reading_from(self._access, database, replica)
        self._waiting = AsyncWaiting(self._access)

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
        """Close the client's own connections; a connection or pool of the caller's stays open."""
        await self._waiting.close()
        await self._reading.close()
        await self._access.close()

    async def call(self, call: surface.Call[T]) -> T:
        """Send any call of `pgtasker.surface`."""
        return readable(self._codec, await self._access.call(call))

    async def _read(self, call: surface.Call[T]) -> T:
        return readable(self._codec, await self._reading.call(call))

    def _connected(self) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
        """One connection for several calls."""
        return self._access.connected()

    # Define and start.

    async def register(
        self, workflow: Workflow | Mapping[str, Json], *, replace: bool = True
    ) -> int:
        """Store a workflow or a definition document; answers the id of the named task."""
        document = registrable(self._codec, _document(workflow))
        return await self.call(surface.register_workflow(document, replace=replace))

    async def register_many(
        self, workflows: Sequence[Workflow | Mapping[str, Json]], *, replace: bool = True
    ) -> list[int]:
        """Store several workflows, all or none; answers the ids of their named tasks in order."""
        documents = [registrable(self._codec, _document(each)) for each in workflows]
        return await self.call(surface.register_workflows(documents, replace=replace))

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
        alone (in the namespace `default`), for its highest version. The context is a JSON object,
        or an instance of a dataclass or a pydantic model.

        Raises InvalidContext, before anything is sent, if a `Workflow` takes another context,
        UnknownWorkflow, and IdempotencyConflict if the key is taken by a task with other content.
        """
        return await self.call(
            surface.create_task(
                **identity(workflow, namespace, version),
                context=self._stored(workflow, [context])[0],
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
        """Start one task per context, in one call; answers their task_ids in the same order.

        What is said of the arguments and errors of `start` holds here: one context that does not
        fit, and none is started.
        """
        return await self.call(
            surface.create_tasks(
                **identity(workflow, namespace, version),
                contexts=self._stored(workflow, contexts),
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

        Raises TimeoutError after `timeout` seconds (None: never), psycopg's NoDataFound for a task
        that does not exist, and ConfigurationError inside a transaction: a task started in one must
        be committed first, until then no runner sees it.

        The database notifies of the end; a look now and then finds it where it cannot. All waits of
        a client share one further connection and its looks: a few queries in the first seconds of a
        wait, then one every second, or every 5 once a notification has shown that they arrive. A
        lost connection is opened again. Given a connection, the client only looks, on that
        connection: use it for nothing else meanwhile.
        """
        return (await self.wait_many([task_id], timeout=timeout))[0]

    async def wait_many(
        self, task_ids: Sequence[int], *, timeout: float | None = None
    ) -> list[Task]:
        """Wait for all of these tasks, as `wait` does for one; answers in the same order.

        Raises TimeoutError if one of them is not at rest after `timeout` seconds.
        """
        return readable(self._codec, await self._waiting.rest(task_ids, timeout))

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
                "resolve_step",
                workflow_step_id,
                results=encoded(self._codec, results),
                reason=reason,
                actor=actor,
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

    async def get_setting(self, name: str) -> str:
        """A setting of the install, as text."""
        return await self.call(surface.get_setting(name))

    async def set_setting(self, name: str, value: str) -> None:
        """Tune the install; the database checks the value, for example "30 s" for a lease."""
        await self.call(surface.set_setting(name, value))

    async def purge_tasks(
        self, older_than: timedelta | None = None, *, max_tasks: int | None = None
    ) -> int:
        """Remove finished tasks that came to rest longer ago, with their history.

        Answers how many: at most `max_tasks`, 1000 unless given, so call it again until it is 0.
        Without `older_than` those go that are kept no longer than their workflow or the setting
        `retention` says; runners remove these by themselves. Tasks in error are not finished.
        """
        return await self.call(surface.purge_tasks(older_than, max_tasks=max_tasks))

    def _stored(self, workflow: Workflow | str, contexts: Sequence[Any]) -> list[Json]:
        """Contexts that fit the workflow, as far as that can be seen from here."""
        if isinstance(workflow, Workflow):
            contexts = [workflow.check_context(context) for context in contexts]
        return [encoded(self._codec, context) for context in contexts]


def _document(workflow: Workflow | Mapping[str, Json]) -> Mapping[str, Json]:
    return workflow.definition() if isinstance(workflow, Workflow) else workflow
