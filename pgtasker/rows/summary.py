"""Rows about what could be done in a task, and what holds the rest of it back."""

from __future__ import annotations

from dataclasses import dataclass

from pgtasker.rows.execution import TaskExecutionContext


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
