"""Rows that count and measure: what was done, what was slow, and how the install stands.

Durations are in seconds and None where there was nothing to measure; rates are from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pgtasker.rows.base import Row


@dataclass(frozen=True, slots=True)
class AnalyticsMetrics(Row):
    """What was done since a time, of `get_analytics_metrics`.

    Percentiles of tasks count from when they could start to their end; of steps the time that
    handlers ran and the time in the queue are apart. `is_exact` is false where they come from a
    histogram, with an error of at most 5 %.
    """

    analysis_period_start: datetime
    calculated_at: datetime
    is_exact: bool
    active_tasks: int
    created_tasks: int
    completed_tasks: int
    failed_tasks: int
    cancelled_tasks: int
    resolved_tasks: int
    attempts: int
    completed_steps: int
    failed_attempts: int
    error_rate: float | None
    tasks_per_second: float | None
    steps_per_second: float | None
    task_seconds_p50: float | None
    task_seconds_p95: float | None
    task_seconds_p99: float | None
    run_seconds_p50: float | None
    run_seconds_p95: float | None
    run_seconds_p99: float | None
    wait_seconds_p50: float | None
    wait_seconds_p95: float | None
    wait_seconds_p99: float | None


@dataclass(frozen=True, slots=True)
class SlowStep(Row):
    """One attempt that took long, of `get_slowest_steps`."""

    workflow_step_id: int
    task_id: int
    namespace: str
    workflow_name: str
    version: str
    step_name: str
    attempt: int
    state: str
    started_at: datetime
    finished_at: datetime
    run_seconds: float
    wait_seconds: float | None


@dataclass(frozen=True, slots=True)
class SlowTask(Row):
    """One task that took long, of `get_slowest_tasks`."""

    task_id: int
    namespace: str
    name: str
    version: str
    state: str
    created_at: datetime
    finished_at: datetime
    total_seconds: float


@dataclass(frozen=True, slots=True)
class StepStatistics(Row):
    """All attempts of one step of a workflow together, of `get_step_statistics`."""

    namespace: str
    workflow_name: str
    step_name: str
    attempts: int
    errors: int
    error_rate: float | None
    run_seconds_mean: float | None
    run_seconds_p50: float | None
    run_seconds_p95: float | None
    run_seconds_p99: float | None
    wait_seconds_mean: float | None
    wait_seconds_p50: float | None
    wait_seconds_p95: float | None
    wait_seconds_p99: float | None


@dataclass(frozen=True, slots=True)
class TaskStatistics(Row):
    """All tasks of one workflow together, of `get_task_statistics`."""

    namespace: str
    name: str
    created: int
    completed: int
    failed: int
    cancelled: int
    resolved: int
    total_seconds_mean: float | None
    total_seconds_p50: float | None
    total_seconds_p95: float | None
    total_seconds_p99: float | None


@dataclass(frozen=True, slots=True)
class SystemHealthCounts(Row):
    """How the install stands, of `get_system_health_counts`."""

    calculated_at: datetime
    total_tasks: int
    pending_tasks: int
    in_progress_tasks: int
    error_tasks: int
    paused_tasks: int
    complete_tasks: int
    cancelled_tasks: int
    resolved_tasks: int
    ready_steps: int
    scheduled_steps: int
    in_backoff_steps: int
    in_progress_steps: int
    exhausted_steps: int
    complete_steps: int
    stalled_claims: int
    oldest_ready_at: datetime | None
    oldest_ready_age: timedelta | None
    live_runners: int
    waiting_runners: int
    lost_runners: int
    paused_queues: int
    connections: int
    max_connections: int


@dataclass(frozen=True, slots=True)
class Metric(Row):
    """One value to monitor, of `monitoring_metrics`: a `kind` is a gauge or a counter."""

    name: str
    kind: str
    labels: dict[str, str]
    value: float
    description: str
