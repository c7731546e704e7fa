"""`stats`, `slow`: what was done in a window of time, how long it took, and what took longest.

Responsible for tables and words. The figures are those of the database; durations that handlers
ran and that steps waited in a queue stay apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.text import Text

from pgtasker.cli.base import Settings, database_options, json_option
from pgtasker.cli.completion import names, namespaces
from pgtasker.cli.output import (
    moment,
    paragraph,
    print_json,
    print_lines,
    seconds,
    show,
    state,
    table,
)
from pgtasker.cli.times import Since, since_option
from pgtasker.client import Client
from pgtasker.rows import (
    AnalyticsMetrics,
    CriticalStep,
    SlowStep,
    SlowTask,
    StepStatistics,
    SystemHealthCounts,
    TaskStatistics,
)

WINDOW = "Only what happened since, instead of in the last hour"
MOST = 100  # rows that the database gives


def _of_workflow(command: Any) -> Any:
    command = click.option(
        "--name", metavar="NAME", shell_complete=names, help="Only of this workflow."
    )(command)
    return click.option(
        "--namespace", metavar="NAME", shell_complete=namespaces, help="Only of this namespace."
    )(command)


@click.command()
@since_option(WINDOW)
@click.option(
    "--by",
    type=click.Choice(["step", "workflow"]),
    default="workflow",
    help="What the rows of the table below are.",
)
@_of_workflow
@click.option("--limit", type=click.IntRange(min=1), default=20, help="The slowest so many.")
@json_option
@database_options
@click.pass_obj
def stats(
    settings: Settings,
    since: Since | None,
    by: str,
    namespace: str | None,
    name: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Say what was done, how long it took, and how the install stands now.

    A window of up to an hour is exact; a longer one begins at a full hour, one of more than two
    days at a full day (UTC), and its percentiles are right within 5 %.
    """
    with settings.client() as client:
        begin = since.before(client) if since else None
        done = client.get_analytics_metrics(begin)
        health = client.get_system_health_counts()
        found: Sequence[StepStatistics | TaskStatistics] = (
            client.get_step_statistics(begin, namespace=namespace, name=name)
            if by == "step"
            else client.get_task_statistics(begin, namespace=namespace, name=name)
        )[:limit]
    if as_json:
        print_json({"analytics": done, "health": health, f"{by}s": found})
        return
    print_lines(_done(done))
    print_lines(_now(health))
    if found:
        click.echo()
        rows = [_statistics(row) for row in found]
        show(table(STEP_COLUMNS if by == "step" else WORKFLOW_COLUMNS, rows))


def _line(lead: str, *facts: str) -> Iterator[Text]:
    return paragraph(", ".join(fact for fact in facts if fact), Text(f"{lead:9}", style="bold"))


def _some(count: int, words: str) -> str:
    """A fact, unless there is nothing of it."""
    return f"{count:,} {words}" if count else ""


def _at(per_second: float | None) -> str:
    """A rate beside a count, unless there is none."""
    return f" ({rate(per_second)})" if per_second else ""


def _done(done: AnalyticsMetrics) -> Iterator[Text]:
    about = "" if done.is_exact else "; percentiles are right within 5 %"
    yield Text(f"since {moment(done.analysis_period_start)}{about}", style="bold")
    yield from _line(
        "tasks",
        f"{done.created_tasks:,} created",
        f"{done.completed_tasks:,} complete{_at(done.tasks_per_second)}",
        _some(done.failed_tasks, "failed"),
        _some(done.cancelled_tasks, "cancelled"),
        _some(done.resolved_tasks, "resolved by hand"),
    )
    failed = f" ({percent(done.error_rate)})" if done.error_rate else ""
    yield from _line(
        "steps",
        f"{done.completed_steps:,} complete{_at(done.steps_per_second)}",
        f"{done.attempts:,} attempts, {done.failed_attempts:,} failed{failed}",
    )
    for lead, what in (
        ("task took", "task_seconds"),
        ("step ran", "run_seconds"),
        ("waited", "wait_seconds"),
    ):
        values = [getattr(done, f"{what}_{place}") for place in ("p50", "p95", "p99")]
        if values[0] is not None:
            yield from _line(
                lead,
                f"half within {duration(values[0])}",
                f"95 % within {duration(values[1])}",
                f"99 % within {duration(values[2])}",
            )


def _now(health: SystemHealthCounts) -> Iterator[Text]:
    yield Text(f"\nnow, {moment(health.calculated_at)}", style="bold")
    yield from _line(
        "tasks",
        f"{health.pending_tasks:,} pending",
        f"{health.in_progress_tasks:,} in progress",
        f"{health.error_tasks:,} in error",
        _some(health.paused_tasks, "paused"),
    )
    age = health.oldest_ready_age
    yield from _line(
        "steps",
        f"{health.ready_steps:,} ready"
        + (f" (oldest {seconds(age.total_seconds())})" if age else ""),
        f"{health.in_progress_steps:,} in progress",
        _some(health.in_backoff_steps, "in backoff"),
        _some(health.scheduled_steps, "scheduled"),
        _some(health.exhausted_steps, "failed for good"),
        _some(health.stalled_claims, "stalled"),
    )
    yield from _line(
        "runners",
        f"{health.live_runners} live",
        f"{health.waiting_runners} of them idle",
        _some(health.lost_runners, "lost"),
        _some(health.paused_queues, "paused queues"),
    )
    yield from _line("database", f"{health.connections} of {health.max_connections} connections")


STEP_COLUMNS = ("step", "#attempts", "#failed", "#run p50", "#p95", "#p99", "#wait p95")
WORKFLOW_COLUMNS = ("workflow", "#created", "#complete", "#failed", "#took p50", "#p95", "#p99")


def _statistics(row: StepStatistics | TaskStatistics) -> tuple[str | Text, ...]:
    if isinstance(row, StepStatistics):
        return (
            f"{row.namespace}/{row.workflow_name} {row.step_name}",
            f"{row.attempts:,}",
            Text(percent(row.error_rate), style="red") if row.errors else "",
            duration(row.run_seconds_p50),
            duration(row.run_seconds_p95),
            duration(row.run_seconds_p99),
            duration(row.wait_seconds_p95),
        )
    return (
        f"{row.namespace}/{row.name}",
        f"{row.created:,}",
        f"{row.completed:,}",
        Text(f"{row.failed:,}", style="red") if row.failed else "",
        duration(row.total_seconds_p50),
        duration(row.total_seconds_p95),
        duration(row.total_seconds_p99),
    )


@click.command()
@since_option(WINDOW)
@click.option("--tasks", is_flag=True, help="Whole tasks instead of attempts of steps.")
@_of_workflow
@click.option("--limit", type=click.IntRange(1, MOST), default=10, help="The slowest so many.")
@json_option
@database_options
@click.pass_obj
def slow(
    settings: Settings,
    since: Since | None,
    tasks: bool,
    namespace: str | None,
    name: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List what took longest.

    With --tasks each task has the step that most of its time went to, and how much; `pgtasker show
    TASK` shows the whole of its critical path.
    """
    with settings.client() as client:
        begin = since.before(client) if since else None
        if tasks:
            _slow_tasks(
                client,
                client.get_slowest_tasks(begin, max_rows=limit, namespace=namespace, name=name),
                as_json=as_json,
            )
            return
        steps = client.get_slowest_steps(begin, max_rows=limit, namespace=namespace, name=name)
    if as_json:
        print_json(steps)
    elif not steps:
        click.echo("no attempt ended in that time")
    else:
        columns = ("step", "workflow", "attempt", "started", "#ran", "#waited")
        show(table(columns, [_slow_step(step) for step in steps]))


def _slow_step(step: SlowStep) -> tuple[str | Text, ...]:
    attempt = Text(f"{step.attempt} ").append_text(state(step.state))
    return (
        f"{step.task_id}/{step.step_name}",
        f"{step.namespace}/{step.workflow_name}",
        attempt,
        moment(step.started_at),
        seconds(step.run_seconds),
        duration(step.wait_seconds),
    )


def _slow_tasks(client: Client, tasks: Sequence[SlowTask], *, as_json: bool) -> None:
    paths = [client.get_critical_path(task.task_id) for task in tasks]
    if as_json:
        print_json([{"task": task, "path": path} for task, path in zip(tasks, paths, strict=True)])
    elif not tasks:
        click.echo("no task ended in that time")
    else:
        rows = [
            (
                str(task.task_id),
                f"{task.namespace}/{task.name}",
                state(task.state),
                moment(task.created_at),
                seconds(task.total_seconds),
                _mostly(path),
            )
            for task, path in zip(tasks, paths, strict=True)
        ]
        show(table(("#task", "workflow", "state", "created", "#took", "mostly in"), rows))


def _mostly(path: Sequence[CriticalStep]) -> str:
    """The step that the largest part of a task's time went to."""
    longest = max(path, key=lambda step: step.share or 0.0, default=None)
    return f"{longest.name} {percent(longest.share)}" if longest and longest.share else ""


# Words.


def duration(value: float | None) -> str:
    """A duration, or nothing where nothing was measured."""
    return "" if value is None else seconds(value)


def percent(value: float | None) -> str:
    """A part of a whole, as precise as it is small."""
    if value is None:
        return ""
    return f"{value:.1%}".replace("%", " %") if value < 0.1 else f"{value:.0%}".replace("%", " %")


def rate(per_second: float) -> str:
    """So many per second, minute or hour, whichever is readable."""
    for factor, unit in ((1, "s"), (60, "min"), (3600, "h")):
        if per_second * factor >= 1 or unit == "h":
            return f"{per_second * factor:,.1f}/{unit}"
    raise AssertionError("hours are the last unit")


COMMANDS = (stats, slow)
