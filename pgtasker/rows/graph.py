"""Rows about the graph of a task: what waits for what, and what made it as long as it was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pgtasker.rows.base import Json, Row


@dataclass(frozen=True, slots=True)
class DependencyLevel(Row):
    """The level of one step, of `calculate_dependency_levels`: 0 for a root."""

    workflow_step_id: int
    name: str
    dependency_level: int


@dataclass(frozen=True, slots=True)
class StepRelationships(Row):
    """Where one step stands in the graph of its task, of `step_dag_relationships`."""

    workflow_step_id: int
    task_id: int
    named_step_id: int
    name: str
    parent_step_ids: list[int]
    child_step_ids: list[int]
    parent_count: int
    child_count: int
    is_root_step: bool
    is_leaf_step: bool
    dependency_level: int


@dataclass(frozen=True, slots=True)
class StepDependency(Row):
    """A step that another one waits for, directly or not, of `get_step_transitive_dependencies`.

    `distance` counts the edges between them: 1 for a parent.
    """

    workflow_step_id: int
    name: str
    state: str
    processed: bool
    distance: int
    results: Json


@dataclass(frozen=True, slots=True)
class CriticalStep(Row):
    """One of the steps that made a task as long as it was, of `get_critical_path`.

    In seconds: `wait_seconds` in the queue, `run_seconds` with handlers at work, `other_seconds` in
    backoffs, pauses and schedules. `share` is the part of the task's whole time, from 0 to 1.
    """

    place: int
    workflow_step_id: int
    name: str
    state: str
    attempts: int
    ready_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    wait_seconds: float | None
    run_seconds: float | None
    other_seconds: float | None
    share: float | None
