"""What was measured of the targets, as a document.

Responsible for results/targets.md: the measured column beside the targets, and what else each line
measured; and for targets.json, which has every single run.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from bench.figures import Measured, Row

LEAST = 0.10  # what a history may cost

EXPLANATION = """\
A default install with all triggers, guards and grants, contexts of 200 bytes, results of 100.
Server and clients share the machine. After each run the log is counted: every task complete, two
rows for each task and step. After each run `check_consistency()` finds nothing. The lines run one
after the other, then all of them again. A target that was missed is **bold**; the range is that of
the runs. With the history: the median of the ratios of pairs of runs, one in the database with the
history, one in an install of its own."""


def document(
    where: Mapping[str, str], rows: Sequence[Row], found: Sequence[Measured], spread: float = 0.0
) -> str:
    """The results of one run; `spread` is by how much the baseline varied, as a share of it.

    A history may cost a tenth, or as much as the baseline varied if that is more.
    """
    of = {measured.line: measured for measured in found}
    lines = ["# Targets", "", "Made by `make bench`, which writes it anew.", ""]
    lines += [*(f"- {what}: {value}" for what, value in where.items()), "", EXPLANATION, ""]
    lines += ["| what | target | measured | range | with the history |", "|---|--:|--:|--:|--:|"]
    lines += [_row(row, of[row.line]) for row in rows if row.line in of]
    history = _History.of(rows, of, max(LEAST, spread))
    lines += [history.row] if history else []
    lines += ["", _summary(rows, of, history), "", "## Whatever else the lines measured", ""]
    lines += ["| line | measured | median | range | with the history |", "|---|---|--:|--:|--:|"]
    return "\n".join([*lines, *_details(found), ""])


def record(where: Mapping[str, str], rows: Sequence[Row], found: Sequence[Measured]) -> str:
    """The results of one run as JSON: the rows, and every run of every line."""
    of = {measured.line: measured for measured in found}
    table = [
        {**asdict(row), "figure": of[row.line].median(row.measured)}
        for row in rows
        if row.line in of and of[row.line].runs
    ]
    runs = [asdict(measured) for measured in found]
    return json.dumps({**where, "rows": table, "lines": runs}, indent=1) + "\n"


def _row(row: Row, measured: Measured) -> str:
    target = f"{_number(row.target)} {row.unit}"
    if not measured.runs:
        return f"| {row.what} | {target} | **{measured.trouble}** | | |"
    figure = measured.median(row.measured)
    shown = _number(figure) if row.attained(figure) >= 1 else f"**{_number(figure)}**"
    if measured.trouble:
        shown += f" **{measured.trouble}**"
    return f"| {row.what} | {target} | {shown} | {_spread(measured, row.measured)} |"


def _spread(measured: Measured, what: str) -> str:
    figures, ratios = measured.figures(what), measured.ratios(what)
    cells = [f"{_number(min(figures))} to {_number(max(figures))}" if len(figures) > 1 else ""]
    cells += [f"{statistics.median(ratios):.2f}" if ratios else ""]
    return " | ".join(cells)


@dataclass(frozen=True, slots=True)
class _History:
    """The row about the history: by how much each of the others is worse beside it."""

    allowed: float
    worse: list[tuple[float, str]]

    @classmethod
    def of(cls, rows: Sequence[Row], of: Mapping[str, Measured], allowed: float) -> _History | None:
        worse = [
            (row.worse(statistics.median(ratios)), row.what)
            for row in rows
            if row.line in of and (ratios := of[row.line].ratios(row.measured))
        ]
        return cls(allowed, worse) if worse else None

    @property
    def attained(self) -> float:
        """As that of a row: 1 or more meets the target."""
        worst, _ = max(self.worse)
        return self.allowed / worst if worst > 0 else 1.0

    @property
    def row(self) -> str:
        worst, what = max(self.worse)
        shown = (
            f"{100 * worst:.0f} % worse" if self.attained >= 1 else f"**{100 * worst:.0f} % worse**"
        )
        within = sum(each <= self.allowed for each, _ in self.worse)
        return (
            f"| every line above with the history, the worst | {100 * self.allowed:.0f} % worse "
            f"| {shown} | {what} | {within} of {len(self.worse)} within |"
        )


def _summary(rows: Sequence[Row], of: Mapping[str, Measured], history: _History | None) -> str:
    attained = [
        row.attained(of[row.line].median(row.measured))
        for row in rows
        if row.line in of and of[row.line].runs
    ]
    attained += [history.attained] if history else []
    met = sum(each >= 1 for each in attained)
    half = sum(each < 0.5 for each in attained)
    return f"{met} of {len(attained)} targets met, {half} below half of the target."


def _details(found: Sequence[Measured]) -> Iterator[str]:
    for measured in found:
        for what in measured.runs[0] if measured.runs else ():
            figure = _number(measured.median(what))
            yield f"| {measured.line} | {what} | {figure} | {_spread(measured, what)} |"


def _number(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"
