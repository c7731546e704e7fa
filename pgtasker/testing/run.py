"""Running tasks to their end in the process of the test: `run_workflow`, `run_task`, `run_all`.

Responsible for what a user calls. Given something asynchronous to reach the database with, each of
the three is to be awaited. What is asked of the database, and when, is left to `drive`, how that is
done to `perform`.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, overload

from pgtasker.rows import Json, Task
from pgtasker.testing.drive import Drive
from pgtasker.testing.perform import AsyncDatabase, Database, codec_of, perform
from pgtasker.workflow import Workflow

__tracebackhide__ = True  # pytest shows what the test and the handler did


@overload
def run_workflow(
    database: Database,
    workflow: Workflow,
    context: Json = ...,
    *,
    schema: str | None = ...,
    raise_errors: bool = ...,
) -> Task: ...


@overload
def run_workflow(
    database: AsyncDatabase,
    workflow: Workflow,
    context: Json = ...,
    *,
    schema: str | None = ...,
    raise_errors: bool = ...,
) -> Coroutine[Any, Any, Task]: ...


def run_workflow(
    database: Database | AsyncDatabase,
    workflow: Workflow,
    context: Json = None,
    *,
    schema: str | None = None,
    raise_errors: bool = False,
) -> Task | Coroutine[Any, Any, Task]:
    """Register a workflow, start a task of it and run that to its end.

    The same as `run_task` otherwise; what `Client.start` takes beside the context needs that.

        >>> task = run_workflow(client, fulfil, {"order": 42})
        >>> task.state, task.results
        ('complete', {'ship': 'order 42 is on its way'})
    """
    script = Drive([workflow], codec_of(database)).workflow(workflow, context, raise_errors)
    return perform(database, schema, script)


@overload
def run_task(
    database: Database,
    task_id: int,
    *workflows: Workflow,
    schema: str | None = ...,
    raise_errors: bool = ...,
) -> Task: ...


@overload
def run_task(
    database: AsyncDatabase,
    task_id: int,
    *workflows: Workflow,
    schema: str | None = ...,
    raise_errors: bool = ...,
) -> Coroutine[Any, Any, Task]: ...


def run_task(
    database: Database | AsyncDatabase,
    task_id: int,
    *workflows: Workflow,
    schema: str | None = None,
    raise_errors: bool = False,
) -> Task | Coroutine[Any, Any, Task]:
    """Run a task to its end here and now, with the handlers of these workflows; answers the task.

    `database` is a client, a psycopg connection (then everything joins the transaction of the
    caller, and nothing is committed here) or a DSN. Steps are executed one after the other; a
    retry, a delay or a `run_at` is not waited for: the clock of the session is moved there, and put
    back in the end. An install for tests obeys, see `install`; any other serves as long as nothing
    has to be waited for.

    What handlers raise is kept as a runner keeps it, and the task that comes back is in `error` in
    the end; with `raise_errors` the exception that failed it is raised here. Raises TaskStuck if
    the task waits for what cannot happen by itself: somebody paused it or its queue, another runner
    has a step of it, or no workflow given knows how to execute one.

    Given an AsyncClient or an AsyncConnection, the call is to be awaited; plain functions are then
    called in a thread, as by a runner.

        >>> task_id = client.start(fulfil, {"order": 42}, tags=["vip"])
        >>> run_task(client, task_id, fulfil).state
        'complete'
    """
    return perform(
        database, schema, Drive(workflows, codec_of(database)).task(task_id, raise_errors)
    )


@overload
def run_all(database: Database, *workflows: Workflow, schema: str | None = ...) -> list[Task]: ...


@overload
def run_all(
    database: AsyncDatabase, *workflows: Workflow, schema: str | None = ...
) -> Coroutine[Any, Any, list[Task]]: ...


def run_all(
    database: Database | AsyncDatabase, *workflows: Workflow, schema: str | None = None
) -> list[Task] | Coroutine[Any, Any, list[Task]]:
    """Run every open task of these workflows as far as it goes by itself, as `run_task` does.

    Tasks that handlers start are run too. Answers the tasks, those started first coming first; one
    that is paused or otherwise held up is among them, as it is then.

        >>> client.start_many(fulfil, [{"order": 1}, {"order": 2}])
        [1, 2]
        >>> [task.state for task in run_all(client, fulfil)]
        ['complete', 'complete']
    """
    return perform(database, schema, Drive(workflows, codec_of(database)).everything())
