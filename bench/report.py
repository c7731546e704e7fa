"""What was measured of views, as a document.

Responsible for results/views.md: one line for each question, targets beside figures, and the plan
of each that missed its target; and for views.json, which has every single run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from bench.sampling import Figure, Side

LONGEST_PLAN = 60  # lines
CLOCKS = re.compile(r"^ *InitPlan \d+\n *->  Result .*\n", re.MULTILINE)  # one for each clock()

EXPLANATION = """\
Milliseconds of planning and execution as the server counts them (`explain (analyze, timing off)`
of `select *`: every column of every row is computed, nothing is sent), medians of alternating
pairs. The target stands first, then the figure without the history, then the one with it; what
missed is **bold**. Where the target is one number, the history may add 10 % or 0.5 ms; where it is
two, the second is with the history. Rows and pages of 8 kB are those with the history and the most
unfinished tasks; so is the time from the question to the last row that a client sees, where rows
are few."""


def document(where: Mapping[str, str], figures: Sequence[Figure]) -> str:
    """The results of one run."""
    lines = ["# How long it takes to look", "", "Made by `make bench-views`, which writes it anew."]
    lines += ["", *(f"- {what}: {value}" for what, value in where.items()), "", EXPLANATION, ""]
    sizes = sorted({figure.active for figure in figures})
    plain = [figure for figure in figures if not figure.in_error]
    heads = " | ".join(f"{size:,} unfinished" for size in sizes)
    lines += [f"| question | {heads} | rows | pages | client |"]
    lines += ["|---|" + "---|" * len(sizes) + "--:|--:|--:|"]
    for question in dict.fromkeys(figure.query for figure in plain):
        of = {figure.active: figure for figure in plain if figure.query == question}
        cells = " | ".join(_cell(of.get(size)) for size in sizes)
        lines.append(f"| {question} | {cells} | {_counts(of[max(of)].with_history)} |")
    beside = [figure for figure in figures if figure.in_error]
    if beside:
        one = beside[0]
        lines += ["", f"The same beside {one.in_error:,} more tasks in `error`:", ""]
        lines += [f"| question | {one.active:,} unfinished | rows | pages | client |"]
        lines += ["|---|---|--:|--:|--:|"]
        lines += [
            f"| {each.query} | {_cell(each)} | {_counts(each.with_history)} |" for each in beside
        ]
    return "\n".join([*lines, "", *_misses(figures)])


def record(where: Mapping[str, str], figures: Sequence[Figure]) -> str:
    """The results of one run as JSON, one figure on a line."""
    rows = [asdict(figure) for figure in figures]
    for row in rows:
        for side in filter(None, (row["without"], row["with_history"])):
            for clock in ("server", "client"):
                side[clock] = [round(number, 3) for number in side[clock]]
    heads = ",\n".join(f"{json.dumps(what)}: {json.dumps(value)}" for what, value in where.items())
    lines = ",\n".join(map(json.dumps, rows))
    return f'{{\n{heads},\n"figures": [\n{lines}\n]\n}}\n'


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    target = "" if figure.target is None else f"{figure.target:g}"
    if figure.besides is not None and figure.besides != figure.target:
        target = f"{target}, {figure.besides:g}" if target else f"{figure.besides:g}"
    sides = [("without", figure.without), ("with", figure.with_history)]
    shown = [
        f"**{_ms(side.median)}**" if name in figure.misses else _ms(side.median)
        for name, side in sides
        if side is not None
    ]
    return ": ".join(filter(None, [target, ", ".join(shown)]))


def _counts(side: Side) -> str:
    return f"{side.rows:,} | {side.pages:,} | {_ms(side.client_median) if side.client else ''}"


def _ms(number: float) -> str:
    return f"{number:.2f}" if number < 10 else f"{number:,.0f}"


def _misses(figures: Sequence[Figure]) -> Iterator[str]:
    missed = [figure for figure in figures if figure.misses]
    if not missed:
        yield "Nothing missed its target."
        return
    yield "## What missed its target, and how it is executed"
    for figure in missed:
        error = f", {figure.in_error:,} in error" if figure.in_error else ""
        for side, plan in figure.plans.items():
            yield from ("", f"### {figure.query}", "")
            yield f"{figure.active:,} unfinished{error}, {side} the history: {_cell(figure)}"
            lines = CLOCKS.sub("", plan).splitlines()
            cut = [f"... {len(lines) - LONGEST_PLAN} more"] if len(lines) > LONGEST_PLAN else []
            yield from ("", "```", *lines[:LONGEST_PLAN], *cut, "```")
    yield ""
