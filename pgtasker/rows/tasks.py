"""Rows about tasks and their steps: how they are, and what happened to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pgtasker.rows.base import Json, Row


@dataclass(frozen=True, slots=True)
class Task(Row):
    """One task, of `get_task`."""

    task_id: int
    namespace: str
    name: str
    version: str
    state: str
    complete: bool
    paused: bool
    priority: int | None
    context: Json
    results: Json
    error: Json
    tags: list[str]
    idempotency_key: str | None
    initiator: str | None
    source_system: str | None
    reason: str | None
    run_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    total_steps: int
    processed_steps: int
    failed_steps: int

    @property
    def at_rest(self) -> bool:
        """Nothing more happens by itself: the task is final, or in error and wants attention."""
        return self.complete or self.state == "error"


@dataclass(frozen=True, slots=True)
class TaskState(Row):
    """What one who waits for the end of a task asks again and again."""

    task_id: int
    state: str
    at_rest: bool


@dataclass(frozen=True, slots=True)
class TaskStep(Row):
    """One step of a task, of `get_task_steps`."""

    workflow_step_id: int
    name: str
    state: str
    attempts: int
    retry_limit: int
    depends_on: list[str]
    results: Json
    error: Json
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    due_at: datetime | None
    runner_id: int | None
    runner: str | None
    progress: Json
    ready_at: datetime | None


@dataclass(frozen=True, slots=True)
class HistoryEntry(Row):
    """One transition of a task or of one of its steps, of `get_task_history`."""

    created_at: datetime
    entity: str
    workflow_step_id: int | None
    name: str
    from_state: str | None
    to_state: str
    sort_key: int
    actor: str | None
    attempts: int | None
    attempt_counts: bool | None
    due_at: datetime | None
    reason: str | None
    results: Json
    error: Json
    metadata: Json


@dataclass(frozen=True, slots=True)
class TaskListEntry(Row):
    """One task in `task_list`."""

    task_id: int
    namespace: str
    name: str
    version: str
    state: str
    complete: bool
    paused: bool
    priority: int | None
    tags: list[str]
    initiator: str | None
    idempotency_key: str | None
    total_steps: int
    processed_steps: int
    failed_steps: int
    progress: Decimal
    run_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
