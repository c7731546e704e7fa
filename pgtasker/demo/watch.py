"""Watching a task: a live table on a terminal, a line for each change elsewhere.

Responsible for the picture only; it is drawn from what `get_task_steps` says and nothing else.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from pgtasker.cli.output import error_line, indented, seconds, state, took
from pgtasker.client import Client
from pgtasker.rows import TaskStep

Check = Callable[[], None]

LOOK_EVERY = 0.1  # seconds
SIGNS = {"complete": "✓", "error": "✗", "pending": "·"}


def watch(client: Client, task_id: int, console: Console, check: Check) -> None:
    """Show the task's steps until nothing more happens to it; `check` may raise meanwhile."""
    if console.is_terminal:
        _watch_live(client, task_id, console, check)
    else:
        _watch_plainly(client, task_id, console, check)


def _watch_live(client: Client, task_id: int, console: Console, check: Check) -> None:
    spinner = Spinner("dots", style="cyan")
    with Live(console=console, refresh_per_second=12) as live:
        while True:
            task, steps = client.get_task(task_id), client.get_task_steps(task_id)
            live.update(_picture(steps, spinner))
            if task.at_rest:
                return
            check()
            time.sleep(LOOK_EVERY)


def _picture(steps: list[TaskStep], spinner: Spinner) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "step", "state", "attempt", "took", ""):
        table.add_column(column, no_wrap=True, justify="right" if column == "took" else "left")
    for name, step in zip(indented(steps), steps, strict=True):
        running, done = step.state == "in_progress", step.state == "complete"
        table.add_row(
            spinner if running else SIGNS.get(step.state, ""),
            name,
            state(step.state),
            str(step.attempts) if step.attempts else "",
            took(step.started_at, step.finished_at) if done else "",
            Text(_remark(step), style="dim"),
        )
    return table


def _remark(step: TaskStep) -> str:
    if step.state == "error":
        return f"{error_line(step.error)}; will be retried"
    if step.state == "in_progress" and isinstance(step.progress, dict):
        return f"{step.progress.get('done', 0):,} of {step.progress.get('of', 0):,}"
    if step.state == "complete" and step.attempts > 1:
        return f"after {step.attempts - 1} failed"
    return ""


def _watch_plainly(client: Client, task_id: int, console: Console, check: Check) -> None:
    shown: dict[str, tuple[str, int]] = {}
    began = time.monotonic()
    while True:
        task, steps = client.get_task(task_id), client.get_task_steps(task_id)
        for step in steps:
            now = (step.state, step.attempts)
            if shown.get(step.name, ("pending", 0)) != now:
                shown[step.name] = now
                remark = f" ({error_line(step.error)})" if step.state == "error" else ""
                clock = seconds(time.monotonic() - began)
                console.print(f"{clock:>8}  {step.name}: {step.state}{remark}", markup=False)
        sys.stdout.flush()
        if task.at_rest:
            return
        check()
        time.sleep(LOOK_EVERY)
