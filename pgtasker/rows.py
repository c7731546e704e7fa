"""What the SQL surface answers, as typed, immutable rows.

Responsible for the shape only: each field bears the name of the column it holds. What the columns
mean is said in the database, by the comments on the functions and views that return them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Self

Json = Any  # what a jsonb value becomes: dict, list, str, int, float, bool or None


class Row:
    """A row that is read by the names of its fields; further columns are ignored."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """The row as an instance of this class."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


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


@dataclass(frozen=True, slots=True)
class StepReadinessStatus(Row):
    """Whether one step could run now, of the views and functions named after it."""

    workflow_step_id: int
    task_id: int
    named_step_id: int
    name: str
    current_state: str
    dependencies_satisfied: bool
    retry_eligible: bool
    ready_for_execution: bool
    last_failure_at: datetime | None
    next_retry_at: datetime | None
    total_parents: int
    completed_parents: int
    attempts: int
    retry_limit: int
    backoff_request_seconds: float | None
    last_attempted_at: datetime | None


@dataclass(frozen=True, slots=True)
class TaskExecutionContext(Row):
    """How one task stands as a whole, of the views and functions named after it."""

    task_id: int
    named_task_id: int
    status: str
    total_steps: int
    pending_steps: int
    in_progress_steps: int
    completed_steps: int
    failed_steps: int
    ready_steps: int
    execution_status: str
    recommended_action: str
    completion_percentage: Decimal | None
    health_status: str
    waiting_reason: str | None


@dataclass(frozen=True, slots=True)
class RunnerRow(Row):
    """One runner, of `list_runners`."""

    runner_id: int
    name: str
    queues: list[str]
    state: str
    held_steps: int
    waiting_until: datetime | None
    started_at: datetime
    last_heartbeat_at: datetime
    lease_expires_at: datetime
    ended_at: datetime | None
    metadata: Json


@dataclass(frozen=True, slots=True)
class QueueRow(Row):
    """One queue, of `list_queues`."""

    queue: str
    paused: bool
    depth: int
    scheduled: int
    in_process: int
    oldest_age: timedelta | None
    runners: int
    next_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Explanation(Row):
    """One reason why a step is where it is, of `explain_step`; the most important comes first."""

    reason: str
    explanation: str
    details: Json


@dataclass(frozen=True, slots=True)
class Violation(Row):
    """One broken invariant, of `check_consistency`."""

    violation: str
    task_id: int | None
    workflow_step_id: int | None
    details: Json


@dataclass(frozen=True, slots=True)
class ClaimedStep(Row):
    """One attempt of one step, given to a runner; `timeout` in seconds."""

    workflow_step_id: int
    claim_id: int
    task_id: int
    namespace: str
    workflow_name: str
    version: str
    step_name: str
    handler: str | None
    attempt: int
    retry_limit: int
    context: Json
    inputs: Json
    dependency_results: dict[str, Json]
    timeout: float | None
    tags: list[str]
    priority: int


@dataclass(frozen=True, slots=True)
class Advance(Row):
    """What one `advance` brought: claims that were no longer held, and the next steps to run."""

    lost: list[int]
    claimed: list[ClaimedStep]
