"""Calls with which people, or programs for them, intervene: the verbs and the settings."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from psycopg.sql import SQL

from pgtasker.rows import Json
from pgtasker.surface.calls import Call, as_json, function, nothing, value

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
        "results": None if results is None else as_json(results, "the results"),
        "reason": reason,
        "actor": actor,
    }
    return function(verb, nothing, **arguments)


def get_setting(name: str) -> Call[str]:
    """A setting, as text."""
    return function("get_setting", value, name=name)


def set_setting(name: str, value: str) -> Call[None]:
    """Change a setting of the install."""
    return function("set_setting", nothing, name=name, value=value)


def purge_tasks(older_than: timedelta | None = None, *, max_tasks: int | None = None) -> Call[int]:
    """Remove finished tasks that are older; answers how many. Without an age: by retention."""
    return function("purge_tasks", value, older_than=older_than, max_tasks=max_tasks)


def setting_seconds(name: str) -> Call[float]:
    """A setting that is a time, in seconds."""
    return Call(
        SQL("""
            select extract(epoch from {schema}.get_setting(name => %(name)s)::interval)
                ::double precision
        """),
        {"name": name},
        value,
    )
