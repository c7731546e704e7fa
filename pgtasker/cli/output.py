"""How commands print: JSON for programs, tables for people.

Responsible for colours (only on a terminal), widths and words for times. What is printed is left to
the commands.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from pgtasker.cli import graph
from pgtasker.rows import TaskStep

STATE_STYLES = {
    "pending": "dim",
    "in_progress": "cyan",
    "complete": "green",
    "error": "red",
    "cancelled": "yellow",
    "skipped": "yellow",
    "resolved_manually": "magenta",
}
SIGNS = {
    "pending": "·",
    "in_progress": "▸",
    "complete": "✓",
    "error": "✗",
    "cancelled": "⊘",
    "skipped": "»",
    "resolved_manually": "✓",
}
RETRYING = "↻"  # in error, but not for good
STAND_INS = {**graph.ASCII, **str.maketrans("·▸✓✗⊘»↻…▾←→↑↓", ".>vx/>~.v<>^v")}


def print_json(value: object) -> None:
    """Print rows of the surface, or any JSON with such rows in it."""
    click.echo(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))


def _plain(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"cannot print {value!r} as JSON")


def console() -> Console:
    """Standard output; in a pipe as wide as the content wants, so that nothing is cut off."""
    return Console(width=None if sys.stdout.isatty() else 400, highlight=False)


def show(renderable: RenderableType) -> None:
    """Print a picture; in a pipe without the blanks that fill its lines."""
    target = console()
    if target.is_terminal:
        target.print(renderable)
        return
    with target.capture() as captured:
        target.print(renderable)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A plain table; a column whose name begins with `#` is aligned to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column.startswith("#")
        made.add_column(
            column.removeprefix("#"), justify="right" if right else "left", overflow="fold"
        )
    for row in rows:
        made.add_row(*(Text(printable(cell)) if isinstance(cell, str) else cell for cell in row))
    return made


def indented(steps: Sequence[TaskStep]) -> list[str]:
    """The names of a task's steps, each indented below what it waits for."""
    depth: dict[str, int] = {}
    for step in steps:
        depth[step.name] = max((depth.get(name, 0) + 1 for name in step.depends_on), default=0)
    return ["  " * depth[step.name] + step.name for step in steps]


def state(name: str, *, paused: bool = False) -> Text:
    """A state in its colour."""
    text = Text(name, style=STATE_STYLES.get(name, ""))
    return text.append(" (paused)", style="yellow") if paused else text


def sign(step: TaskStep) -> Text:
    """The state of a step in one character."""
    if step.state == "error" and step.due_at is not None:
        return Text(RETRYING, style="yellow")
    return Text(SIGNS.get(step.state, " "), style=STATE_STYLES.get(step.state, ""))


def print_lines(lines: Iterable[Text]) -> None:
    """Print a drawing line by line; where the signs are not known, with stand-ins for them."""
    target = console()
    for line in lines:
        line.plain = printable(line.plain, kept="\n\t")
        if not encodable(line.plain):
            click.echo(line.plain.rstrip().translate(STAND_INS))
        elif target.is_terminal:
            target.print(line, soft_wrap=True)
        else:
            click.echo(line.plain.rstrip())


def width(*, otherwise: int) -> int:
    """The columns of the terminal; where there is none, as many as are given."""
    target = console()
    return target.width if target.is_terminal else otherwise


def paragraph(text: str, lead: Text | None = None) -> Iterator[Text]:
    """Words after a lead, further lines below them; in a pipe they are one line."""
    lead = Text() if lead is None else lead
    indent = lead.cell_len + (2 if lead.cell_len else 0)
    columns = width(otherwise=10_000) - indent
    lines = textwrap.wrap(text, max(20, columns), break_on_hyphens=False) or [""]
    yield Text.assemble(lead, " " * (indent - lead.cell_len), lines[0])
    for line in lines[1:]:
        yield Text(" " * indent + line)


def printable(text: str, *, kept: str = "") -> str:
    """The text without what a terminal would obey: a name, or an error, may hold anything."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in kept else "?" for each in text)


def encodable(text: str) -> bool:
    """Whether standard output can write it."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeError:
        return False
    return True


def moment(at: datetime | None) -> str:
    """A time in the time zone of whoever reads it."""
    return "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def took(start: datetime | None, end: datetime | None) -> str:
    """How long something took, once it has ended."""
    if start is None or end is None:
        return ""
    return seconds((end - start).total_seconds())


def seconds(value: float) -> str:
    """A duration in words as short as its precision."""
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def error_line(error: Any) -> str:
    """A step's error in one line."""
    if error is None:
        return ""
    if isinstance(error, dict) and (error.get("message") or error.get("type")):
        parts = [str(error[key]) for key in ("type", "message") if error.get(key)]
        return " ".join(": ".join(parts).split())
    return json.dumps(error, ensure_ascii=False)
