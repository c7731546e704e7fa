"""Rows about tasks as a whole: how each stands, and what that means."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pgtasker.rows.base import Row

AT_WORK = ("pending", "in_progress")
UNFINISHED = (*AT_WORK, "error")


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

    @property
    def is_complete(self) -> bool:
        """It is over: complete, cancelled or resolved by hand."""
        return self.status not in UNFINISHED

    @property
    def has_work_to_do(self) -> bool:
        """Steps are ready, or at work."""
        return self.execution_status in ("has_ready_steps", "processing")

    @property
    def has_ready_work(self) -> bool:
        """A step could be claimed now."""
        return self.ready_steps > 0

    @property
    def is_blocked(self) -> bool:
        """Something failed for good and nothing can go on."""
        return self.health_status == "blocked"

    @property
    def needs_attention(self) -> bool:
        """A person must look at it: it is in error."""
        return self.status == "error"

    def near_completion(self, percentage: float | Decimal = 90) -> bool:
        """It is not over, and its steps are done to so many percent or more."""
        done = self.completion_percentage
        return not self.is_complete and done is not None and done >= percentage

    def progress_details(self) -> dict[str, Any]:
        """How far it is: steps in all, done, left, and the part that is done, in percent."""
        return {
            "total_steps": self.total_steps,
            "completed_steps": self.completed_steps,
            "remaining_steps": self.total_steps - self.completed_steps,
            "completion_percentage": self.completion_percentage,
        }

    def workflow_summary(self) -> dict[str, Any]:
        """How it stands in a few words and numbers."""
        return {
            "task_id": self.task_id,
            "status": self.status,
            "execution_status": self.execution_status,
            "health_status": self.health_status,
            "waiting_reason": self.waiting_reason,
            **self.progress_details(),
            "pending_steps": self.pending_steps,
            "in_progress_steps": self.in_progress_steps,
            "failed_steps": self.failed_steps,
            "ready_steps": self.ready_steps,
        }
