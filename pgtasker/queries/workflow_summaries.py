"""The words of questions about what could be done in unfinished tasks, and what holds it back.

Summaries exist for tasks that are not over, so that `active` changes nothing here.
"""

from __future__ import annotations

from typing import Self

from pgtasker.queries.execution_contexts import _TaskWords
from pgtasker.rows import TaskWorkflowSummary
from pgtasker.rows.execution import AT_WORK
from pgtasker.rows.summary import COMPLEX_FROM_BRANCHES, COMPLEX_FROM_DEPTH
from pgtasker.surface.selecting import AnyOf, Condition, Question


class _WorkflowSummaryWords(_TaskWords[TaskWorkflowSummary]):
    """Unfinished tasks, and what could be done in each."""

    _question = Question(
        TaskWorkflowSummary,
        "task_id",
        every="task_workflow_summaries",
        active="task_workflow_summaries",
    )

    def optimal(self) -> Self:
        """In which steps are ready and nothing has failed."""
        return self._having("workflow_efficiency", "optimal", implies=AT_WORK)

    def recovering(self) -> Self:
        """In which steps are ready although something has failed."""
        return self._having("workflow_efficiency", "recovering", implies=AT_WORK)

    def processing(self) -> Self:
        """In which steps are executed, and no further one is ready."""
        return self._having("workflow_efficiency", "processing", implies=AT_WORK)

    def blocked(self) -> Self:
        """In which something failed for good and nothing can go on."""
        return self._having("workflow_efficiency", "blocked", implies=["error"])

    def waiting(self) -> Self:
        """In which nothing is ready, nothing is executed, and nothing keeps it from going on."""
        return self._having("workflow_efficiency", "waiting")

    def efficient(self) -> Self:
        """Which are optimal, recovering or processing."""
        going_on = ["optimal", "recovering", "processing"]
        return self._having("workflow_efficiency", going_on, implies=AT_WORK)

    def has_parallelism_potential(self) -> Self:
        """In which several steps could run at once."""
        several = ["high_parallelism", "moderate_parallelism"]
        return self._having("parallelism_potential", several, implies=AT_WORK)

    def high_parallelism(self) -> Self:
        """In which more than five steps could run at once."""
        return self._having("parallelism_potential", "high_parallelism", implies=AT_WORK)

    def moderate_parallelism(self) -> Self:
        """In which two to five steps could run at once."""
        return self._having("parallelism_potential", "moderate_parallelism", implies=AT_WORK)

    def sequential_only(self) -> Self:
        """In which one step could run."""
        return self._having("parallelism_potential", "sequential_only", implies=AT_WORK)

    def complex_workflows(self) -> Self:
        """Whose graph is deep or wide."""
        deep = Condition("max_dependency_depth", ">=", COMPLEX_FROM_DEPTH)
        wide = Condition("parallel_branches", ">=", COMPLEX_FROM_BRANCHES)
        return self._narrowed(AnyOf((deep, wide)))
