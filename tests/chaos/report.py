"""The table of docs/reliability.md: one row for each scenario, with what was measured last.

Responsible for replacing rows and leaving the rest of the page alone, so that a run of one scenario
renews its row only. What is measured is left to the scenarios.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from .place import Measured, Scenario
from .scenarios import SCENARIOS

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- begin: written by make chaos -->", "<!-- end -->"
HEADS = ("scenario", "what is done", "target", "measured", "", "run", "short version")
TEST = "tests/chaos/test_scenarios.py"


def row_of(scenario: Scenario, measured: Measured, seed: int, version: str) -> str:
    """The row of a scenario that was run."""
    where = f"{os.cpu_count()} cores, {platform.machine()}, PostgreSQL {version}"
    cells = [
        scenario.name,
        scenario.injection,
        scenario.target,
        measured.text,
        "met" if measured.met else "**missed**",
        f"seed {seed}, {date.today()}, {where}",
        f"`{TEST}`, `-k {scenario.key}`",
    ]
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def rows_in(page: str) -> dict[str, str]:
    """The rows that the page has, by scenario."""
    table = page.partition(BEGIN)[2].partition(END)[0].strip().splitlines()
    return {row.split(" | ")[0].removeprefix("| "): row for row in table[2:]}


def renew(row: str, name: str, page: Path = PAGE) -> None:
    """Put a row into the page, in the place of the one of the same scenario."""
    text = page.read_text()
    rows = {**rows_in(text), name: row}
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    table = "\n".join(_table([rows[each.name] for each in SCENARIOS if each.name in rows]))
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


def _table(rows: list[str]) -> Iterator[str]:
    yield f"| {' | '.join(HEADS)} |"
    yield "|---" * len(HEADS) + "|"
    yield from rows
