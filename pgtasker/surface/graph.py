"""Calls about the graph of one task."""

from __future__ import annotations

from psycopg.sql import SQL

from pgtasker.rows import CriticalStep, DependencyLevel, StepDependency, StepRelationships
from pgtasker.surface.calls import Call, all_of, function


def step_dag_relationships(task_id: int) -> Call[list[StepRelationships]]:
    """Where each step of a task stands in its graph, parents first."""
    return Call(
        SQL("""
            select r.*
            from {schema}.step_dag_relationships as r
            where r.task_id = %(task_id)s
            order by r.dependency_level, r.workflow_step_id
        """),
        {"task_id": task_id},
        all_of(StepRelationships),
    )


def calculate_dependency_levels(task_id: int) -> Call[list[DependencyLevel]]:
    """How many edges lie before each step of a task, on the longest way from a root."""
    return function("calculate_dependency_levels", all_of(DependencyLevel), task_id=task_id)


def get_step_transitive_dependencies(workflow_step_id: int) -> Call[list[StepDependency]]:
    """Everything that a step waits for, directly or not, the nearest first."""
    return function(
        "get_step_transitive_dependencies",
        all_of(StepDependency),
        workflow_step_id=workflow_step_id,
    )


def get_critical_path(task_id: int) -> Call[list[CriticalStep]]:
    """The steps that made a task as long as it was, the first one first."""
    return function("get_critical_path", all_of(CriticalStep), task_id=task_id)
