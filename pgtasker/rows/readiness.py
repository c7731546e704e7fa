"""Rows about readiness."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pgtasker.rows.base import Row


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
