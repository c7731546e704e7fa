"""The words of questions about tasks as a whole: how do they stand, and what do they wait for?"""

from __future__ import annotations

from decimal import Decimal
from typing import Self, TypeVar

from pgtasker.queries.columns import checked
from pgtasker.queries.query import _Query
from pgtasker.rows import TaskExecutionContext
from pgtasker.rows.execution import AT_WORK, UNFINISHED
from pgtasker.surface.selecting import Condition, Question

C = TypeVar("C", bound=TaskExecutionContext)


class _TaskWords(_Query[C]):
    """Words that contexts and summaries have in common."""

    def needs_attention(self) -> Self:
        """That a person must look at: something failed for good and nothing goes on."""
        return self._having("status", "error")

    def near_completion(self, percentage: float | Decimal = 90) -> Self:
        """That are not over, and whose steps are done to so many percent or more."""
        least = checked("a percentage", percentage, Decimal)
        return self._narrowed(
            Condition("status", "in", list(UNFINISHED)),
            Condition("completion_percentage", ">=", least),
        )

    def with_status(self, *states: str) -> Self:
        """In one of these states."""
        return self.where(status=states)


class _ExecutionContextWords(_TaskWords[TaskExecutionContext]):
    """Tasks, and how each stands as a whole."""

    _question = Question(
        TaskExecutionContext,
        "task_id",
        every="task_execution_contexts",
        active="active_task_execution_contexts",
        recent="recent_task_execution_contexts",
    )

    def has_ready_steps(self) -> Self:
        """In which a step could be claimed now."""
        return self._having("execution_status", "has_ready_steps", implies=AT_WORK)

    def processing(self) -> Self:
        """In which steps are executed, and no further one is ready."""
        return self._having("execution_status", "processing", implies=AT_WORK)

    def blocked(self) -> Self:
        """In which something failed for good and nothing can go on."""
        return self._having("health_status", "blocked", implies=["error"])

    def healthy(self) -> Self:
        """In which nothing has failed."""
        return self._having("health_status", "healthy")

    def recovering(self) -> Self:
        """In which something failed, and work goes on."""
        return self._having("health_status", "recovering")
