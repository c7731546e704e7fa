"""`show`: one task as a drawing of its graph, or one step of it in detail.

Responsible for what is said of a task and a step, and for fitting it into the terminal. The lanes
of the drawing are left to `graph`.
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from datetime import UTC, datetime

import click
from rich.text import Text

from pgtasker.cli import graph
from pgtasker.cli.base import Settings, database_options, json_option, split_step, step_named
from pgtasker.cli.completion import tasks
from pgtasker.cli.output import (
    STATE_STYLES,
    error_line,
    indented,
    moment,
    paragraph,
    print_json,
    print_lines,
    sign,
    state,
    took,
    width,
)
from pgtasker.cli.standing import context_of, critical_path, path_of, standing
from pgtasker.client import Client
from pgtasker.redaction import Redaction
from pgtasker.rows import Explanation, HistoryEntry, Json, Task, TaskStep

FOLDED_FROM = 9  # parallel steps; fewer are all shown
SHOWN_OF_EACH_STATE = 3  # of folded steps; the rest of them share a line
STATES_BY_INTEREST = ("error", "in_progress", "pending")
HEADER = ("step", "id", "state", "attempts", "waited", "took")
LONGEST_REMARK = 3  # lines
LONGEST_RESULT = 20  # lines
WIDEST = 400  # columns, where the output is no terminal


@click.command()
@click.argument("subject", metavar="TASK|TASK/STEP", shell_complete=tasks)
@click.option("--all", "everything", is_flag=True, help="Fold and shorten nothing.")
@json_option
@database_options
@click.pass_obj
def show(settings: Settings, subject: str, everything: bool, as_json: bool) -> None:
    """Show a task as a drawing, or one step of it.

    TASK/STEP is a step by its name, as in 12/charge.
    """
    task_id, name = split_step(subject)
    with settings.client() as client:
        redaction = Redaction.configured(client.get_setting)
        task, steps = client.get_task(task_id), client.get_task_steps(task_id)
        redaction.learn(task, steps)
        task, steps = redaction(task), redaction(steps)
        if name is not None:
            found = (task, steps, name)
            _show_step(client, *found, redaction, everything=everything, as_json=as_json)
            return
        context, path = context_of(client, task), path_of(client, task)
    if as_json:
        print_json({"task": task, "steps": steps, "context": context, "critical_path": path})
        return
    marked = {step.name for step in path}
    print_lines([*_headline(task), *(standing(context) if context else ()), Text()])
    print_lines(_drawing(steps, marked, everything=everything))
    print_lines(critical_path(path))


def _headline(task: Task) -> Iterator[Text]:
    yield Text.assemble(
        (f"task {task.task_id}", "bold"),
        f"  {task.namespace}/{task.name} {task.version}  ",
        state(task.state, paused=task.paused),
        f"  {task.processed_steps} of {task.total_steps} steps done",
    )
    times = [("created", task.created_at), ("runs at", task.run_at), ("ended", task.finished_at)]
    text = ", ".join(f"{word} {moment(at)}" for word, at in times if at)
    if duration := took(task.started_at, task.finished_at):
        text += f", ran for {duration}"
    yield Text(text)
    for word, value in (
        ("tags", ", ".join(task.tags)),
        ("key", task.idempotency_key),
        ("started by", task.initiator),
        ("because", task.reason),
    ):
        if value:
            yield Text(f"{word}: {value}")


# The drawing of a task.


def _drawing(steps: Sequence[TaskStep], marked: Set[str], *, everything: bool) -> list[Text]:
    known = {step.name: step for step in steps}
    columns = width(otherwise=WIDEST)

    def fold(unit: graph.Unit) -> Sequence[graph.Unit]:
        if everything or len(unit) < FOLDED_FROM:
            return [(name,) for name in unit]
        return _folded(unit, known)

    lines = graph.draw({step.name: step.depends_on for step in steps}, fold)
    lanes = max(len(line.lanes) for line in lines)
    if lanes > columns // 3:
        lines, lanes = _indented(steps), 0
    cells = [_cells(line.steps, known) for line in lines]
    widths = [
        max(Text(str(cell)).cell_len for cell in column)
        for column in zip(HEADER, *cells, strict=True)
    ]
    widths[0] = max(4, min(widths[0], columns - lanes - sum(widths[1:]) - 5 - 2 * len(widths)))
    drawn = [_row(" " * lanes, Text(" "), HEADER, widths)]
    drawn[0].stylize("bold")
    for line, row in zip(lines, cells, strict=True):
        first = known[line.steps[0]] if line.steps else None
        mark = sign(first) if first else Text(" ")
        if line.steps and marked >= set(line.steps):
            row = (Text(str(row[0]), style="bold"), *row[1:])
        drawn.append(_row(line.lanes.ljust(lanes), mark, row, widths))
        if first is not None and (remark := _remark(first)):
            beside = line.below.ljust(lanes) + " " * 5
            for part in _wrapped(remark, columns - len(beside)):
                drawn.append(Text.assemble(beside, (part, "dim")))
    return drawn


def _row(lanes: str, mark: Text, cells: Sequence[str | Text], widths: Sequence[int]) -> Text:
    row = Text.assemble(lanes, " ", mark, " ")
    for number, (cell, size) in enumerate(zip(cells, widths, strict=True)):
        text = cell.copy() if isinstance(cell, Text) else Text(cell)
        text.truncate(size, overflow="ellipsis")
        text.align("left" if number in (0, 2) else "right", size)
        row.append_text(text).append("  ")
    return row


def _cells(names: graph.Unit, known: dict[str, TaskStep]) -> tuple[str | Text, ...]:
    if not names:
        return ("",) * len(HEADER)
    step = known[names[0]]
    if len(names) > 1:
        counted = Text(f"{len(names)} {step.state}", style=STATE_STYLES.get(step.state, ""))
        return (f"{names[0]} … {names[-1]}", "", counted, "", "", "")
    return (
        step.name,
        str(step.workflow_step_id),
        state(step.state),
        f"{step.attempts}/{step.retry_limit}",
        took(step.ready_at, step.started_at),
        took(step.started_at, step.finished_at),
    )


def _folded(unit: graph.Unit, known: dict[str, TaskStep]) -> list[graph.Unit]:
    """A few steps of each state that is of interest, and a line for the rest of each state."""
    states = Counter(known[name].state for name in unit)
    folded: list[graph.Unit] = []
    for wanted in sorted(states, key=_interest):
        names = [name for name in unit if known[name].state == wanted]
        alone = SHOWN_OF_EACH_STATE if wanted in ("error", "in_progress") else 0
        if len(names) <= SHOWN_OF_EACH_STATE:
            alone = len(names)
        folded += [(name,) for name in names[:alone]]
        if names[alone:]:
            folded.append(tuple(names[alone:]))
    return folded


def _interest(name: str) -> int:
    known = STATES_BY_INTEREST
    return known.index(name) if name in known else len(known)


def _indented(steps: Sequence[TaskStep]) -> list[graph.Line]:
    """Where the lanes would take most of the width, indentation says who waits for whom."""
    lines = []
    for name, step in zip(indented(steps), steps, strict=True):
        lines.append(graph.Line(" " * (len(name) - len(step.name)), (step.name,), ""))
    return lines


def _remark(step: TaskStep) -> str:
    remarks = []
    if step.error is not None:
        earlier = "" if step.state == "error" else "earlier: "
        remarks.append(earlier + error_line(step.error))
    if step.due_at is not None and step.state in ("pending", "error"):
        remarks.append(f"next attempt {moment(step.due_at)}")
    if step.state == "in_progress":
        remarks.append(f"for {took(step.started_at, datetime.now(UTC))} on {step.runner}")
        if step.progress is not None:
            remarks.append(f"progress {json.dumps(step.progress, ensure_ascii=False)}")
    return "; ".join(remarks)


def _wrapped(text: str, columns: int) -> list[str]:
    return textwrap.wrap(
        text, max(20, columns), max_lines=LONGEST_REMARK, placeholder=" …", break_on_hyphens=False
    )


# One step.


def _show_step(
    client: Client,
    task: Task,
    steps: list[TaskStep],
    name: str,
    redaction: Redaction,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    step = step_named(task.task_id, steps, name)
    history = [
        entry
        for entry in client.get_task_history(task.task_id)
        if entry.workflow_step_id == step.workflow_step_id
    ]
    redaction.learn(history)
    history = redaction(history)
    reasons = redaction(client.explain_step(step.workflow_step_id))
    if as_json:
        print_json({"step": step, "reasons": reasons, "history": history})
        return
    children = [other.name for other in steps if name in other.depends_on]
    print_lines(_details(task, step, children, reasons))
    print_lines(_log(history, everything=everything))
    for title, value in (("progress", step.progress), ("results", step.results)):
        if value is not None:
            print_lines(_document(title, value, everything=everything))


def _details(
    task: Task, step: TaskStep, children: list[str], reasons: list[Explanation]
) -> Iterator[Text]:
    yield Text.assemble(
        (f"step {step.name}", "bold"),
        f" of task {task.task_id}, {task.namespace}/{task.name} {task.version}  ",
        state(step.state),
    )
    facts = [f"id {step.workflow_step_id}", f"attempt {step.attempts} of {step.retry_limit}"]
    if duration := took(step.ready_at, step.started_at):
        facts.append(f"waited {duration} in the queue")
    if duration := took(step.started_at, step.finished_at):
        facts.append(f"took {duration}")
    if step.runner:
        facts.append(f"runner {step.runner}")
    yield Text(", ".join(facts))
    for words, names in (("waits for", step.depends_on), ("leads to", children)):
        if names:
            yield Text(f"{words}: {', '.join(names)}")
    for reason in reasons:
        yield from paragraph(reason.explanation)


def _log(history: Sequence[HistoryEntry], *, everything: bool) -> Iterator[Text]:
    """What happened, and the traceback of the last failure, or of each."""
    if not history:
        return
    yield Text("\nlog", style="bold")
    before: datetime | None = None
    failures = [entry for entry in history if entry.error is not None]
    widest = max(len(entry.to_state) for entry in history)
    for entry in history:
        yield from _entry(entry, before, widest + 25)
        before = entry.created_at
        if entry.error is not None and (everything or entry is failures[-1]):
            trace = entry.error.get("traceback") if isinstance(entry.error, dict) else None
            for line in (trace or "").rstrip().splitlines():
                yield Text(f"    {line}", style="dim")


def _entry(entry: HistoryEntry, before: datetime | None, widest: int) -> Iterator[Text]:
    said = []
    if entry.to_state == "in_progress":
        said.append(f"attempt {entry.attempts}")
    elif entry.from_state == "in_progress" and before is not None:
        said.append(f"after {took(before, entry.created_at)}")
    said.append(f"by {entry.actor}")
    if entry.due_at is not None and entry.to_state != "in_progress":
        said.append(f"next attempt {moment(entry.due_at)}")
    said += [text for text in (entry.reason, error_line(entry.error)) if text]
    lead = Text.assemble(f"  {moment(entry.created_at)}  ", state(entry.to_state))
    lead.align("left", widest)
    yield from paragraph(", ".join(said), lead)


def _document(title: str, value: Json, *, everything: bool) -> Iterator[Text]:
    yield Text(f"\n{title}", style="bold")
    lines = list(_json_lines(value, "  "))
    limit = len(lines) if everything else LONGEST_RESULT
    for line in lines[:limit]:
        text = Text(line)
        if not everything:
            text.truncate(width(otherwise=100), overflow="ellipsis")
        yield text
    if lines[limit:]:
        yield Text(f"  … and {len(lines) - limit} more lines: --all shows them", style="dim")


def _json_lines(value: Json, indent: str, before: str = "", after: str = "") -> Iterator[str]:
    """JSON with a line for each member, unless the whole fits into one."""
    line = f"{indent}{before}{json.dumps(value, ensure_ascii=False)}{after}"
    if len(line) <= 80 or not isinstance(value, dict | list) or not value:
        yield line
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    members = (
        [(f"{json.dumps(key, ensure_ascii=False)}: ", inner) for key, inner in value.items()]
        if isinstance(value, dict)
        else [("", inner) for inner in value]
    )
    yield f"{indent}{before}{opening}"
    for number, (key, inner) in enumerate(members, 1):
        yield from _json_lines(inner, indent + "  ", key, "," if number < len(members) else "")
    yield f"{indent}{closing}{after}"
