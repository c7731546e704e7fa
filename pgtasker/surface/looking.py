"""Calls that look at tasks, steps, queues and runners as they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

from psycopg.sql import SQL

from pgtasker.rows import (
    Explanation,
    HistoryEntry,
    QueueRow,
    RunnerRow,
    StepReadinessStatus,
    Task,
    TaskExecutionContext,
    TaskListEntry,
    TaskState,
    TaskStep,
    Violation,
)
from pgtasker.surface.calls import Call, all_of, function, one


def get_task(task_id: int) -> Call[Task]:
    """Everything about one task."""
    return function("get_task", one(Task), task_id=task_id)


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
        all_of(Task),
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
        all_of(TaskState),
    )


def watch_tasks(task_ids: Sequence[int], channel: str) -> Call[list[TaskState]]:
    """Ask for a notification when each comes to rest; answers as `task_states` does.

    To be sent in a transaction of its own, which waits for no disk: a watch that a crash loses is
    asked for again, and a flush would hold up what it waits for.
    """
    return Call(
        SQL("""
            select
                task.task_id,
                task.state,
                not {schema}.watch_task(task_id => task.task_id, channel => %(channel)s) as at_rest
            from {schema}.task_list as task
            where task.task_id = any (%(task_ids)s::bigint[])
                and pg_catalog.set_config('synchronous_commit', 'off', true) = 'off'
        """),
        {"task_ids": list(task_ids), "channel": channel},
        all_of(TaskState),
    )


def get_step_readiness_status(
    task_id: int, step_ids: Sequence[int] | None
) -> Call[list[StepReadinessStatus]]:
    """Could the steps of a task run now, and if not, what is missing?"""
    return function(
        "get_step_readiness_status",
        all_of(StepReadinessStatus),
        task_id=task_id,
        step_ids=None if step_ids is None else list(step_ids),
    )


def get_step_readiness_status_batch(task_ids: Sequence[int]) -> Call[list[StepReadinessStatus]]:
    """Could the steps of these tasks run now? Tasks that do not exist are left out."""
    return function(
        "get_step_readiness_status_batch", all_of(StepReadinessStatus), task_ids=list(task_ids)
    )


def get_task_execution_context(task_id: int) -> Call[TaskExecutionContext]:
    """How a task stands as a whole, and what it waits for."""
    return function("get_task_execution_context", one(TaskExecutionContext), task_id=task_id)


def get_task_execution_context_batch(task_ids: Sequence[int]) -> Call[list[TaskExecutionContext]]:
    """How these tasks stand as a whole; those that do not exist are left out."""
    return function(
        "get_task_execution_context_batch", all_of(TaskExecutionContext), task_ids=list(task_ids)
    )


def get_task_steps(task_id: int) -> Call[list[TaskStep]]:
    """The steps of a task, parents first."""
    return function("get_task_steps", all_of(TaskStep), task_id=task_id)


def get_task_history(task_id: int) -> Call[list[HistoryEntry]]:
    """The log of a task and its steps, in order."""
    return function("get_task_history", all_of(HistoryEntry), task_id=task_id)


def task_list(
    *,
    namespace: str | None = None,
    name: str | None = None,
    state: str | Sequence[str] | None = None,
    tag: str | None = None,
    active: bool | None = None,
    created_since: datetime | None = None,
    before_task_id: int | None = None,
    limit: int = 100,
) -> Call[list[TaskListEntry]]:
    """The newest tasks that match every filter given."""
    states = [state] if isinstance(state, str) else state
    filters: dict[LiteralString, object] = {
        "t.namespace = %(namespace)s": namespace,
        "t.name = %(name)s": name,
        "t.state = any (%(states)s)": states,
        "%(tag)s = any (t.tags)": tag,
        "t.complete = not %(active)s": active,
        "t.created_at >= %(created_since)s": created_since,
        "t.task_id < %(before_task_id)s": before_task_id,
    }
    wanted = [SQL(text) for text, value in filters.items() if value is not None]
    return Call(
        SQL("""
            select t.*
            from {schema}.task_list as t
            where {wanted}
            order by t.task_id desc
            limit %(limit)s
        """),
        {
            "namespace": namespace,
            "name": name,
            "states": None if states is None else list(states),
            "tag": tag,
            "active": active,
            "created_since": created_since,
            "before_task_id": before_task_id,
            "limit": limit,
        },
        all_of(TaskListEntry),
        {"wanted": SQL(" and ").join(wanted or [SQL("true")])},
    )


def list_runners() -> Call[list[RunnerRow]]:
    """Every runner the install remembers."""
    return function("list_runners", all_of(RunnerRow))


def list_queues() -> Call[list[QueueRow]]:
    """Every queue, with what waits in it."""
    return function("list_queues", all_of(QueueRow))


def explain_step(workflow_step_id: int) -> Call[list[Explanation]]:
    """Why a step is not running, the most important reason first."""
    return function("explain_step", all_of(Explanation), workflow_step_id=workflow_step_id)


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
    return function("check_consistency", all_of(Violation))
