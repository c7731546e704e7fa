"""What the SQL surface answers, as typed, immutable rows.

Responsible for the shape, and for what can be said of a row without asking the database again: each
field bears the name of the column it holds. What the columns mean is said in the database, by the
comments on the functions and views that return them.
"""

from pgtasker.rows.base import Json, Row
from pgtasker.rows.execution import TaskExecutionContext
from pgtasker.rows.graph import CriticalStep, DependencyLevel, StepDependency, StepRelationships
from pgtasker.rows.insights import (
    AnalyticsMetrics,
    Metric,
    SlowStep,
    SlowTask,
    StepStatistics,
    SystemHealthCounts,
    TaskStatistics,
)
from pgtasker.rows.readiness import StepReadinessStatus
from pgtasker.rows.summary import TaskWorkflowSummary
from pgtasker.rows.tasks import HistoryEntry, Task, TaskListEntry, TaskState, TaskStep
from pgtasker.rows.work import (
    Advance,
    ClaimedStep,
    Explanation,
    QueueRow,
    RunnerRow,
    Violation,
)

__all__ = [  # noqa: RUF022 - in the order in which a reader meets them
    "Row",
    "Json",
    # tasks and steps
    "Task",
    "TaskState",
    "TaskStep",
    "HistoryEntry",
    "TaskListEntry",
    # how they stand
    "StepReadinessStatus",
    "TaskExecutionContext",
    "TaskWorkflowSummary",
    # the graph of a task
    "StepRelationships",
    "DependencyLevel",
    "StepDependency",
    "CriticalStep",
    # insights
    "AnalyticsMetrics",
    "SlowStep",
    "SlowTask",
    "StepStatistics",
    "TaskStatistics",
    "SystemHealthCounts",
    "Metric",
    # runners, queues and what they do
    "RunnerRow",
    "QueueRow",
    "Explanation",
    "Violation",
    "ClaimedStep",
    "Advance",
]
