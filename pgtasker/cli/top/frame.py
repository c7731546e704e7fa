"""One frame of `top`: a picture and a view become lines of a given width and height.

Responsible for what fits where. Which figures there are is said by `picture`; how lines get onto
the screen is left to `terminal`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.text import Text

from pgtasker.cli.output import printable
from pgtasker.cli.top.picture import Activity, Picture, Queue
from pgtasker.cli.top.view import SECTIONS, View

FEWEST_ROWS = 3  # of a section that is not chosen, if the screen is not lower than usual
NARROWEST_NAME = 16  # columns
USUAL_WINDOW = 16.0  # seconds; it is said over which longer time rates are
LEAST_ROOM = 9  # lines; in less, only the chosen section is shown
HELP = "q quit  p pause  / filter  tab section  ←→ sort  ↑↓ scroll  +- interval"

Cell = str | Text


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a section; sorted by it, the largest value comes first, or the first name."""

    title: str
    width: int  # 0: what the others leave
    cell: Callable[[Any], Cell]
    order: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Status:
    """What surrounds the picture: where it is from, when it was read, and what went wrong."""

    source: str
    read_at: datetime
    error: str | None = None


def rows_of(picture: Picture, view: View, section: str) -> list[Any]:
    """The rows of a section that pass the filter, in the order that was chosen."""
    sections: dict[str, Sequence[Queue | Activity]] = {
        "queues": picture.queues,
        "workflows": picture.workflows,
        "steps": picture.steps,
    }
    wanted = view.filter.casefold()
    number = view.sorted_by(section)
    order = COLUMNS[section][number].order
    found = [row for row in sections[section] if wanted in _name(row).casefold()]
    found.sort(key=_name)
    return sorted(found, key=order, reverse=number > 0)


def render(
    picture: Picture, view: View, status: Status, *, width: int, height: int | None
) -> list[Text]:
    """The lines of a frame; without a height as many as it takes."""
    lines = [_title(picture, view, status, width), *_overview(picture)]
    lines.append(Text(status.error or "", style="bold red"))
    rows = {section: rows_of(picture, view, section) for section in SECTIONS}
    room = None if height is None else height - len(lines) - 1
    for section, count in _shares({name: len(rows[name]) for name in rows}, view, room).items():
        first = min(view.offset, len(rows[section]) - count) if section == view.section else 0
        shown = rows[section][max(0, first) : max(0, first) + count]
        lines += _section(section, shown, max(0, first), len(rows[section]), view, width)
        lines.append(Text())
    lines.pop()
    if height is not None:
        lines = lines[: height - 1]
        lines += [Text()] * (height - 1 - len(lines))
        lines.append(_footer(view))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _shares(rows: dict[str, int], view: View, room: int | None) -> dict[str, int]:
    """How many rows each section that is shown has; the chosen one has what is left."""
    if room is None:
        return rows
    if room < LEAST_ROOM:
        return {view.section: max(0, room - 1)}
    left = room - len(rows) - (len(rows) - 1)  # without titles and the lines between
    others = [section for section in rows if section != view.section]
    few = min(FEWEST_ROWS, left // 4)
    shares = {section: min(rows[section], few) for section in others}
    shares[view.section] = min(rows[view.section], left - sum(shares.values()))
    for section in others:
        spare = left - sum(shares.values())
        shares[section] += min(spare, rows[section] - shares[section])
    return {section: shares[section] for section in rows}


# The lines above the sections.


def _title(picture: Picture, view: View, status: Status, width: int) -> Text:
    left = Text.assemble(("pgtasker top", "bold"), f"  {status.source}")
    right = Text(f"{status.read_at.astimezone():%H:%M:%S}, every {view.interval:g} s")
    if view.paused:
        right = Text.assemble(("PAUSED", "bold yellow"), "  ", right)
    room = width - right.cell_len - 2
    left.truncate(max(0, room), overflow="ellipsis")
    left.pad_right(max(0, room - left.cell_len) + 2)
    return left.append_text(right)


def _overview(picture: Picture) -> list[Text]:
    seen = picture.overview
    window = picture.window or 0.0
    return [
        _facts(
            "tasks",
            f"{seen.pending_tasks:,} pending",
            f"{seen.in_progress_tasks:,} in progress",
            _alarm(seen.error_tasks, "in error"),
            _alarm(seen.steps_exhausted, "failed steps"),
        ),
        _facts(
            "rates",
            f"steps {per_second(seen.complete_rate)}",
            _failing(seen.failure_rate),
            f"tasks {per_second(seen.created_rate)} in, {per_second(seen.finished_rate)} out",
            f"over {span(window)}" if window > USUAL_WINDOW else "",
        ),
        _facts(
            "runners",
            f"{seen.live_runners + seen.waiting_runners} live",
            f"{seen.waiting_runners} idle",
            _alarm(seen.lost_runners, "lost"),
            _alarm(seen.claims_at_risk, "claims at risk"),
            _alarm(seen.claims_stalled, "stalled"),
        ),
        _facts(
            "server",
            f"{seen.connections} of {seen.max_connections} connections",
            f"oldest transaction {span(seen.oldest_transaction)}",
        ),
    ]


def _facts(lead: str, *facts: str | Text) -> Text:
    line = Text(f"{lead:9}", style="")
    for number, fact in enumerate(fact for fact in facts if fact):
        line.append("  " if number else "").append_text(
            Text(fact) if isinstance(fact, str) else fact
        )
    return line


def _alarm(count: int, words: str) -> Text:
    return Text(f"{count:,} {words}", style="bold red" if count else "")


def _failing(rate: float | None) -> Text:
    return Text(f"failures {per_second(rate)}", style="bold red" if rate else "")


def _footer(view: View) -> Text:
    if view.typing is not None:
        return Text.assemble(("filter: ", "bold"), view.typing, ("_", "blink"))
    if view.filter:
        return Text(f"only {view.filter!r}  esc all  {HELP}", style="dim")
    return Text(HELP, style="dim")


# The sections.


def _section(
    section: str, rows: list[Any], first: int, total: int, view: View, width: int
) -> list[Text]:
    columns = COLUMNS[section]
    fixed = [column for column in columns if column.width]
    while len(fixed) > 1 and width - _taken(fixed) < NARROWEST_NAME:
        fixed.pop()
    longest = max([len(_name(row)) for row in rows], default=0)
    name = max(1, min(width - _taken(fixed), max(longest, 30)))
    name = max(name, min(width, 80) - _taken(fixed))
    place = f" {first + 1}-{first + len(rows)} of {total}" if len(rows) < total else ""
    mark = ">" if section == view.section else " "
    header = Text(f"{mark}{section.upper()}{place}")
    if view.sorted_by(section) == 0:
        header.append(" ▾")
    shown = [header]
    for column in fixed:
        chosen = columns[view.sorted_by(section)] is column
        shown.append(Text(f"{'▾' if chosen else ''}{column.title}"))
    lines = [_line(shown, [name, *(column.width for column in fixed)])]
    lines[0].stylize("bold reverse" if section == view.section else "bold")
    for row in rows:
        cells = [Text(f" {_name(row)}")]
        cells += [_text(column.cell(row)) for column in fixed]
        lines.append(_line(cells, [name, *(column.width for column in fixed)]))
    return lines


def _taken(columns: Sequence[Column]) -> int:
    return sum(column.width + 1 for column in columns)


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text()
    for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        cell.truncate(width, overflow="ellipsis")
        cell.align("right" if number else "left", width)
        line.append(" " if number else "").append_text(cell)
    return line


def _text(cell: Cell) -> Text:
    return Text(cell) if isinstance(cell, str) else cell


def _name(row: Queue | Activity) -> str:
    return printable(row.queue if isinstance(row, Queue) else row.name)


# Cells.


def span(value: float | None) -> str:
    """A duration in at most seven characters."""
    if value is None:
        return "-"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 100:
        return f"{value:.{1 if value < 9.95 else 0}f} s"
    if value < 6000:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.0f} h" if value < 360_000 else f"{value / 86400:.0f} d"


def per_second(rate: float | None) -> str:
    """A rate; in three digits where it is small."""
    if rate is None:
        return "-/s"
    digits = 0 if rate >= 99.95 or rate == 0 else 1 if rate >= 0.95 else 2
    return f"{rate:,.{digits}f}/s"


def _number(count: int) -> str:
    return f"{count:,}" if count else "-"


def _red(text: str, when: object) -> Cell:
    return Text(text, style="bold red") if when else text


def _queue_state(queue: Queue) -> Cell:
    if queue.paused:
        return Text("paused", style="yellow")
    return Text("unserved", style="bold red") if _is_unserved(queue) else ""


def _is_unserved(queue: Queue) -> bool:
    return queue.depth > 0 and not queue.runners


def _rate(
    title: str, width: int, of: Callable[[Any], float | None], *, bad: bool = False
) -> Column:
    def cell(row: Any) -> Cell:
        return _red(per_second(of(row)), bad and of(row))

    return Column(title, width, cell, lambda row: of(row) or 0.0)


def _mean(title: str, of: Callable[[Any], float | None]) -> Column:
    return Column(title, 7, lambda row: span(of(row)), lambda row: of(row) or 0.0)


NAME = Column("", 0, _name, _name)
COLUMNS: dict[str, tuple[Column, ...]] = {
    "queues": (
        NAME,
        Column("ready", 7, lambda row: _number(row.depth), lambda row: row.depth),
        Column("oldest", 7, lambda row: span(row.oldest_age), lambda row: row.oldest_age or 0.0),
        Column("runners", 8, lambda row: _number(row.runners), lambda row: row.runners),
        Column("running", 8, lambda row: _number(row.in_progress), lambda row: row.in_progress),
        Column("later", 7, lambda row: _number(row.scheduled), lambda row: row.scheduled),
        Column("state", 8, _queue_state, lambda row: (row.paused, _is_unserved(row))),
    ),
    "workflows": (
        NAME,
        _rate("started", 8, lambda row: row.created_rate),
        _rate("ended", 8, lambda row: row.finished_rate),
        _rate("steps", 8, lambda row: row.complete_rate),
        _rate("fail", 7, lambda row: row.failure_rate, bad=True),
        _mean("ran", lambda row: row.run_mean),
        _mean("waited", lambda row: row.wait_mean),
    ),
    "steps": (
        NAME,
        _rate("steps", 8, lambda row: row.complete_rate),
        _rate("fail", 7, lambda row: row.failure_rate, bad=True),
        Column("failed", 8, lambda row: _number(row.failures), lambda row: row.failures),
        _mean("ran", lambda row: row.run_mean),
        _mean("waited", lambda row: row.wait_mean),
    ),
}
