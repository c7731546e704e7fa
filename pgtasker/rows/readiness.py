"""Rows about steps: whether each could run now, and what that means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

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

    @property
    def ready_to_execute(self) -> bool:
        """A runner could claim it now."""
        return self.ready_for_execution

    @property
    def blocking_reason(self) -> str | None:
        """What keeps it from being claimed; None: nothing does.

        processed (it is over), in_process (a runner has it), dependencies_not_satisfied (a parent
        is not done), retry_not_eligible (it failed for good), backoff (it is retried later),
        scheduled (it was put off) or task_on_hold (its task is paused or begins later).
        """
        if self.ready_for_execution:
            return None
        if self.current_state not in ("pending", "error"):
            return "in_process" if self.current_state == "in_progress" else "processed"
        if not self.dependencies_satisfied:
            return "dependencies_not_satisfied"
        if not self.retry_eligible:
            return "retry_not_eligible"
        if self.current_state == "error":
            return "backoff"
        return "task_on_hold" if self.next_retry_at is None else "scheduled"

    @property
    def dependency_status(self) -> str:
        """How many of its parents are done, such as 2/3."""
        return f"{self.completed_parents}/{self.total_parents}"

    @property
    def can_retry_now(self) -> bool:
        """It failed, and its next attempt could begin now."""
        return self.current_state == "error" and self.ready_for_execution

    @property
    def retry_status(self) -> str:
        """How it stands with its attempts.

        first_attempt (none yet), in_backoff, due (a retry could begin), exhausted (it failed for
        good) or attempted.
        """
        if self.current_state == "error":
            if not self.retry_eligible:
                return "exhausted"
            return "due" if self.ready_for_execution else "in_backoff"
        return "attempted" if self.attempts else "first_attempt"

    @property
    def attempts_left(self) -> int:
        """How many attempts of this round are left; one failure for good ends them before."""
        return max(self.retry_limit - self.attempts, 0)

    @property
    def effective_backoff_seconds(self) -> float | None:
        """How long the pause after its last failure is; None if it is in none."""
        if self.current_state != "error" or None in (self.next_retry_at, self.last_failure_at):
            return None
        assert self.next_retry_at is not None
        assert self.last_failure_at is not None
        return (self.next_retry_at - self.last_failure_at).total_seconds()

    def time_until_ready(self, now: datetime) -> timedelta | None:
        """How long until it can run by itself; None if time alone does not bring that."""
        if self.ready_for_execution:
            return timedelta(0)
        if self.blocking_reason not in ("backoff", "scheduled") or self.next_retry_at is None:
            return None
        return max(self.next_retry_at - now, timedelta(0))
