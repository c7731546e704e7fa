"""What a benchmark measured, row by row.

Responsible for the runs of a line, for the row that a part of them makes, and for whether it meets
its target. Knows nothing of how it is measured or written down.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

Run = dict[str, float]  # what was measured -> figure


@dataclass(slots=True)
class Measured:
    """The runs of one line; those with the history are pairs of the others, in order."""

    line: str
    runs: list[Run] = field(default_factory=list)
    with_history: list[Run] = field(default_factory=list)
    trouble: str = ""

    def median(self, what: str) -> float:
        return statistics.median(run[what] for run in self.runs)

    def figures(self, what: str) -> list[float]:
        return [run[what] for run in self.runs]

    def ratios(self, what: str) -> list[float]:
        """With the history to without, of each pair."""
        pairs = zip(self.runs, self.with_history, strict=False)
        return [beside[what] / own[what] for own, beside in pairs]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: what of a line is held against which target."""

    line: str
    what: str
    measured: str
    target: float
    unit: str
    at_most: bool = False

    def attained(self, figure: float) -> float:
        """How much of the target a figure is: 1 or more meets it."""
        return self.target / figure if self.at_most else figure / self.target

    def worse(self, ratio: float) -> float:
        """By how much a ratio of two figures is worse than 1; below 0 it is better."""
        return ratio - 1 if self.at_most else 1 - ratio
