"""Rows about how a task stands as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from pgtasker.rows.base import Row


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
