"""What an synchronous client can look at: tasks and steps, graphs, queues, figures.

Responsible for what a user calls, one method for each question that the SQL surface answers.
Where it is read, from the database or from its replica, is left to the client.

Generated from async_looking.py: change that file, then run tools/generate_sync_client.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from pgtasker import surface
from pgtasker.queries.fetching import (
    ExecutionContextQuery,
    StepReadinessQuery,
    WorkflowSummaryQuery,
)
from pgtasker.rows import (
    AnalyticsMetrics,
    CriticalStep,
    DependencyLevel,
    Explanation,
    HistoryEntry,
    Metric,
    QueueRow,
    RunnerRow,
    SlowStep,
    SlowTask,
    StepDependency,
    StepReadinessStatus,
    StepRelationships,
    StepStatistics,
    SystemHealthCounts,
    Task,
    TaskExecutionContext,
    TaskListEntry,
    TaskStatistics,
    TaskStep,
    Violation,
)

T = TypeVar("T")


class _Looking(ABC):
    """The methods of a client that look and change nothing."""

    _schema: str

    @abstractmethod
    def call(self, call: surface.Call[T]) -> T:
        """Send any call of `pgtasker.surface`."""

    @abstractmethod
    def _read(self, call: surface.Call[T]) -> T:
        """Send a call that a replica may answer."""

    # Queries: lazy, and narrowed word by word.

    @property
    def step_readiness(self) -> StepReadinessQuery:
        """Could steps run now, and if not, what is missing? All steps, to be narrowed."""
        return StepReadinessQuery(self._read, self._schema)

    @property
    def execution_contexts(self) -> ExecutionContextQuery:
        """How do tasks stand as a whole, and what do they wait for? All tasks, to be narrowed."""
        return ExecutionContextQuery(self._read, self._schema)

    @property
    def workflow_summaries(self) -> WorkflowSummaryQuery:
        """What could be done, and what holds the rest back? Unfinished tasks, to be narrowed."""
        return WorkflowSummaryQuery(self._read, self._schema)

    # Tasks and steps.

    def get_task(self, task_id: int) -> Task:
        """Everything about one task."""
        return self._read(surface.get_task(task_id))

    def get_task_steps(self, task_id: int) -> list[TaskStep]:
        """The steps of a task, parents first."""
        return self._read(surface.get_task_steps(task_id))

    def get_task_history(self, task_id: int) -> list[HistoryEntry]:
        """The log of a task and its steps, in order."""
        return self._read(surface.get_task_history(task_id))

    def list_tasks(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        state: str | Sequence[str] | None = None,
        tag: str | None = None,
        active: bool | None = None,
        created_since: datetime | None = None,
        before_task_id: int | None = None,
        limit: int = 100,
    ) -> list[TaskListEntry]:
        """The newest tasks that match every filter given.

        `state` may be several; `active` says whether they are not over, or over. For the next page
        pass the last task_id of this one as `before_task_id`.
        """
        return self._read(
            surface.task_list(
                namespace=namespace,
                name=name,
                state=state,
                tag=tag,
                active=active,
                created_since=created_since,
                before_task_id=before_task_id,
                limit=limit,
            )
        )

    def get_step_readiness_status(
        self, task_id: int, step_ids: Sequence[int] | None = None
    ) -> list[StepReadinessStatus]:
        """Could the steps of a task (or these of them) run now, and if not, what is missing?"""
        return self._read(surface.get_step_readiness_status(task_id, step_ids))

    def get_step_readiness_status_batch(self, task_ids: Sequence[int]) -> list[StepReadinessStatus]:
        """The same for all steps of some tasks; tasks that do not exist are left out."""
        return self._read(surface.get_step_readiness_status_batch(task_ids))

    def get_task_execution_context(self, task_id: int) -> TaskExecutionContext:
        """How a task stands as a whole, and what it waits for."""
        return self._read(surface.get_task_execution_context(task_id))

    def get_task_execution_context_batch(
        self, task_ids: Sequence[int]
    ) -> list[TaskExecutionContext]:
        """The same for some tasks; those that do not exist are left out."""
        return self._read(surface.get_task_execution_context_batch(task_ids))

    def list_runners(self) -> list[RunnerRow]:
        """The runners the database knows."""
        return self._read(surface.list_runners())

    def list_queues(self) -> list[QueueRow]:
        """The queues, with what waits in them."""
        return self._read(surface.list_queues())

    def explain_step(self, workflow_step_id: int) -> list[Explanation]:
        """Why a step is not running, the most important reason first."""
        return self.call(surface.explain_step(workflow_step_id))

    def check_consistency(self) -> list[Violation]:
        """Every broken invariant of the install; none means healthy."""
        return self.call(surface.check_consistency())

    # The graph of a task.

    def step_dag_relationships(self, task_id: int) -> list[StepRelationships]:
        """Where each step of a task stands in its graph, parents first."""
        return self._read(surface.step_dag_relationships(task_id))

    def calculate_dependency_levels(self, task_id: int) -> list[DependencyLevel]:
        """How many edges lie before each step of a task, on the longest way from a root."""
        return self._read(surface.calculate_dependency_levels(task_id))

    def get_step_transitive_dependencies(self, workflow_step_id: int) -> list[StepDependency]:
        """Everything that a step waits for, directly or not, the nearest first."""
        return self._read(surface.get_step_transitive_dependencies(workflow_step_id))

    def get_critical_path(self, task_id: int) -> list[CriticalStep]:
        """The steps that made a task as long as it was, the first one first."""
        return self._read(surface.get_critical_path(task_id))

    # Insights. `since` is an hour ago unless given; a window of up to an hour is exact.

    def get_analytics_metrics(self, since: datetime | None = None) -> AnalyticsMetrics:
        """What was done since a time: how much, how fast, and how much of it failed."""
        return self._read(surface.get_analytics_metrics(since))

    def get_slowest_steps(
        self,
        since: datetime | None = None,
        *,
        max_rows: int | None = None,
        namespace: str | None = None,
        name: str | None = None,
    ) -> list[SlowStep]:
        """The attempts that ran longest, 10 unless `max_rows` says how many (up to 100).

        `name` is that of a workflow.
        """
        return self._read(
            surface.get_slowest_steps(since, max_rows=max_rows, namespace=namespace, name=name)
        )

    def get_slowest_tasks(
        self,
        since: datetime | None = None,
        *,
        max_rows: int | None = None,
        namespace: str | None = None,
        name: str | None = None,
    ) -> list[SlowTask]:
        """The tasks that took longest from when they could start, as `get_slowest_steps`."""
        return self._read(
            surface.get_slowest_tasks(since, max_rows=max_rows, namespace=namespace, name=name)
        )

    def get_step_statistics(
        self,
        since: datetime | None = None,
        *,
        namespace: str | None = None,
        name: str | None = None,
    ) -> list[StepStatistics]:
        """How long the steps of workflows ran and waited, and how often they failed.

        One row for each step of each workflow, the slowest first.
        """
        return self._read(surface.get_step_statistics(since, namespace=namespace, name=name))

    def get_task_statistics(
        self,
        since: datetime | None = None,
        *,
        namespace: str | None = None,
        name: str | None = None,
    ) -> list[TaskStatistics]:
        """How long tasks took and how they ended, one row for each workflow, the slowest first."""
        return self._read(surface.get_task_statistics(since, namespace=namespace, name=name))

    def get_system_health_counts(self) -> SystemHealthCounts:
        """How the install stands now, its tasks, steps, runners and connections."""
        return self.call(surface.get_system_health_counts())

    def monitoring_metrics(self) -> list[Metric]:
        """What a monitoring system reads, by name."""
        return self.call(surface.monitoring_metrics())
