"""How a task stands, in a line or two: what an unfinished one waits for, and which steps made a
finished one as long as it was.

Responsible for the words around what the database says. The drawing of its steps is left to `show`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from pgtasker.cli.output import paragraph, seconds
from pgtasker.client import Client
from pgtasker.rows import CriticalStep, Task, TaskExecutionContext

WAITS_FOR = {
    "paused": "to be resumed",
    "scheduled": "its time",
    "backoff": "a pause after a failure",
    "runner": "a runner",
    "dependencies": "other steps",
}
NAMED = 8  # steps of a path; of a longer one those that took longest
WORTH_SAYING = 0.05  # of the whole time: less in the queue, or in pauses, is not said


def context_of(client: Client, task: Task) -> TaskExecutionContext | None:
    """How an unfinished task stands as a whole."""
    return None if task.complete else client.get_task_execution_context(task.task_id)


def path_of(client: Client, task: Task) -> list[CriticalStep]:
    """The critical path of a finished task."""
    return client.get_critical_path(task.task_id) if task.complete else []


def standing(context: TaskExecutionContext) -> Iterator[Text]:
    """The words of the database for an unfinished task."""
    words = f"now: {context.execution_status}, {context.health_status}"
    if context.waiting_reason is not None:
        reason = context.waiting_reason
        words += f", waits for {WAITS_FOR.get(reason, reason)}"
    yield from paragraph(words)


def critical_path(path: Sequence[CriticalStep]) -> Iterator[Text]:
    """The steps one after the other, each with the time that it added; a path of one says nothing.

    Where more than a little of that time went to the queue, or to pauses between attempts, it is
    said.
    """
    if len(path) < 2:
        return
    shown = sorted(sorted(path, key=_time, reverse=True)[:NAMED], key=lambda step: step.place)
    least = WORTH_SAYING * sum(_time(step) for step in path)
    said = ", ".join(_step(step, least) for step in shown)
    left = f" and {len(path) - NAMED} more" if len(path) > NAMED else ""
    yield from paragraph(f"critical path: {said}{left}")


def _time(step: CriticalStep) -> float:
    parts = (step.wait_seconds, step.run_seconds, step.other_seconds)
    return sum(part or 0.0 for part in parts)


def _step(step: CriticalStep, least: float) -> str:
    details = [
        f"{seconds(value)} {words}"
        for value, words in (
            (step.wait_seconds, "in the queue"),
            (step.other_seconds, "in pauses"),
        )
        if value is not None and value > least
    ]
    attempts = [f"{step.attempts} attempts"] if step.attempts > 1 else []
    about = ", ".join([*attempts, *details])
    return f"{step.name} {seconds(_time(step))}" + (f" ({about})" if about else "")
