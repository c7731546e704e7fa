"""Calls that count and measure, over the tasks of a period or of the whole install."""

from __future__ import annotations

from datetime import datetime

from psycopg.sql import SQL

from pgtasker.rows import (
    AnalyticsMetrics,
    Metric,
    SlowStep,
    SlowTask,
    StepStatistics,
    SystemHealthCounts,
    TaskStatistics,
)
from pgtasker.surface.calls import Call, all_of, function, one


def get_analytics_metrics(since: datetime | None = None) -> Call[AnalyticsMetrics]:
    """What was done since a time."""
    return function("get_analytics_metrics", one(AnalyticsMetrics), since=since)


def get_slowest_steps(
    since: datetime | None = None,
    *,
    max_rows: int | None = None,
    namespace: str | None = None,
    name: str | None = None,
) -> Call[list[SlowStep]]:
    """The attempts that took longest."""
    return function(
        "get_slowest_steps",
        all_of(SlowStep),
        since=since,
        max_rows=max_rows,
        namespace=namespace,
        name=name,
    )


def get_slowest_tasks(
    since: datetime | None = None,
    *,
    max_rows: int | None = None,
    namespace: str | None = None,
    name: str | None = None,
) -> Call[list[SlowTask]]:
    """The tasks that took longest."""
    return function(
        "get_slowest_tasks",
        all_of(SlowTask),
        since=since,
        max_rows=max_rows,
        namespace=namespace,
        name=name,
    )


def get_step_statistics(
    since: datetime | None = None, *, namespace: str | None = None, name: str | None = None
) -> Call[list[StepStatistics]]:
    """How long each step of each workflow took, the slowest first."""
    return function(
        "get_step_statistics", all_of(StepStatistics), since=since, namespace=namespace, name=name
    )


def get_task_statistics(
    since: datetime | None = None, *, namespace: str | None = None, name: str | None = None
) -> Call[list[TaskStatistics]]:
    """How long tasks of each workflow took, the slowest first."""
    return function(
        "get_task_statistics", all_of(TaskStatistics), since=since, namespace=namespace, name=name
    )


def get_system_health_counts() -> Call[SystemHealthCounts]:
    """How the install stands now."""
    return function("get_system_health_counts", one(SystemHealthCounts))


def monitoring_metrics() -> Call[list[Metric]]:
    """What a monitoring system reads, by name."""
    return Call(
        SQL("""
            select m.*
            from {schema}.monitoring_metrics as m
            order by m.name, m.labels::text
        """),
        {},
        all_of(Metric),
    )
