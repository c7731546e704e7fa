"""Rows about what could be done in a task, and what holds the rest of it back.

They describe, and leave to the reader what to make of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from pgtasker.rows.execution import TaskExecutionContext

COMPLEX_FROM_DEPTH = 6
COMPLEX_FROM_BRANCHES = 4


@dataclass(frozen=True, slots=True)
class TaskWorkflowSummary(TaskExecutionContext):
    """What could be done in one unfinished task, of `task_workflow_summaries`.

    `blocking_reasons` has one reason for each of `blocked_step_ids`, in the same order.
    """

    workflow_efficiency: str
    parallelism_potential: str
    max_dependency_depth: int
    parallel_branches: int
    root_step_ids: list[int]
    ready_step_ids: list[int]
    blocked_step_ids: list[int]
    blocking_reasons: list[str]

    @property
    def efficient(self) -> bool:
        """Steps are ready or at work."""
        return self.workflow_efficiency in ("optimal", "recovering", "processing")

    @property
    def has_parallelism_potential(self) -> bool:
        """Several steps could run at once."""
        return self.parallelism_potential in ("high_parallelism", "moderate_parallelism")

    @property
    def is_complex_workflow(self) -> bool:
        """Its graph has a dependency level above 5, or more than 3 steps on one level."""
        return (
            self.max_dependency_depth >= COMPLEX_FROM_DEPTH
            or self.parallel_branches >= COMPLEX_FROM_BRANCHES
        )

    def workflow_health_summary(self) -> dict[str, Any]:
        """How healthy it is, and why: failures, what is blocked, and how far it is."""
        return {
            "health_status": self.health_status,
            "workflow_efficiency": self.workflow_efficiency,
            "needs_attention": self.needs_attention,
            "failed_steps": self.failed_steps,
            "blocked_steps": len(self.blocked_step_ids),
            "blocking_reasons": dict(Counter(self.blocking_reasons)),
            "completion_percentage": self.completion_percentage,
        }

    def step_analysis(self) -> dict[str, Any]:
        """Which steps are roots, which are ready, and which are blocked, each with its reason."""
        return {
            "total_steps": self.total_steps,
            "root_step_ids": list(self.root_step_ids),
            "ready_step_ids": list(self.ready_step_ids),
            "blocked_step_ids": list(self.blocked_step_ids),
            "blocking_reasons": dict(
                zip(self.blocked_step_ids, self.blocking_reasons, strict=True)
            ),
        }

    def parallelism_analysis(self) -> dict[str, Any]:
        """How many steps could run at once now, and what the shape of the graph would allow."""
        return {
            "parallelism_potential": self.parallelism_potential,
            "ready_steps": self.ready_steps,
            "in_progress_steps": self.in_progress_steps,
            "parallel_branches": self.parallel_branches,
            "max_dependency_depth": self.max_dependency_depth,
            "root_steps": len(self.root_step_ids),
            "is_complex_workflow": self.is_complex_workflow,
        }
