"""The words of questions about steps: could they run now, and if not, what is missing?"""

from __future__ import annotations

from typing import Self

from pgtasker.queries.columns import whole_number
from pgtasker.queries.query import _Query
from pgtasker.rows import StepReadinessStatus
from pgtasker.surface.selecting import Condition, Question


class _StepReadinessWords(_Query[StepReadinessStatus]):
    """Steps, and whether each could run now."""

    _question = Question(
        StepReadinessStatus,
        "workflow_step_id",
        every="step_readiness_statuses",
        active="active_step_readiness_statuses",
        recent="recent_step_readiness_statuses",
    )

    def ready_for_execution(self) -> Self:
        """That a runner could claim now."""
        return self._having("ready_for_execution", True)

    def blocked_by_dependencies(self) -> Self:
        """That wait for a parent, whether it will still be done or failed for good."""
        return self._having("dependencies_satisfied", False)._having(
            "current_state", ["pending", "error"]
        )

    def retry_eligible(self) -> Self:
        """Whose attempts are not used up, whatever their state."""
        return self._having("retry_eligible", True)

    def pending(self) -> Self:
        """That have not been claimed, or went back."""
        return self._having("current_state", "pending")

    def in_progress(self) -> Self:
        """That a runner executes."""
        return self._having("current_state", "in_progress")

    def failed(self) -> Self:
        """Whose last attempt failed, for good or not."""
        return self._having("current_state", "error")

    def complete(self) -> Self:
        """Whose handler came to its end."""
        return self._having("current_state", "complete")

    def in_backoff(self) -> Self:
        """That failed and are retried at a time that has not come yet."""
        return self.failed()._narrowed(Condition("next_retry_at", "lies ahead"))

    def exhausted(self) -> Self:
        """That failed for good."""
        return self.failed()._having("retry_eligible", False)

    def high_retry_steps(self, attempts: int = 5) -> Self:
        """That have used up so many attempts of this round, or more."""
        least = whole_number("attempts", attempts)
        return self._narrowed(Condition("attempts", ">=", least))
