"""The drawing of a graph of steps, one line for each step, as `git log --graph` draws commits.

Responsible for the order of the lines and for the lanes at their left; what is said of a step is
left to the caller. A lane leads from the steps it starts at or is joined by down to the step that
waits for them. Steps with the same parents and the same children are one unit with a bar at its
side, so that a hundred parallel steps take one lane:

    ●─┬─╮  walk         leads to three lanes: of merge, of parse, and of the next three
    │ │ ╓  lines        these three run in parallel
    │ │ ║  largest
    ├─│─╙  duplicates   each of them leads to merge, past the lane of parse
    ├─●    parse        leads to merge too, and to what is below it
    │ ●    imports
    ●      merge
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

ASCII = str.maketrans("●│║╓╙─├┤┼┬╮╭", "*|[[[-+++++.")

Unit = tuple[str, ...]  # names of steps with the same parents and children
Fold = Callable[[Unit], Sequence[Unit]]  # which steps of a unit share a line


@dataclass(frozen=True, slots=True)
class Line:
    """One line: the lanes at its left, its steps, and the lanes beside what is written below it."""

    lanes: str
    steps: Unit
    below: str


def draw(parents: Mapping[str, Sequence[str]], fold: Fold | None = None) -> list[Line]:
    """The lines of a graph, given each step's parents; a line has one step, unless `fold` says so.

    A line without steps separates what is not connected.
    """
    drawing = _Drawing(_Units(parents), fold or (lambda unit: [(name,) for name in unit]))
    return list(drawing.lines())


class _Units:
    """The graph, with steps of the same parents and children taken together."""

    def __init__(self, parents: Mapping[str, Sequence[str]]) -> None:
        children: dict[str, list[str]] = {name: [] for name in parents}
        for name, above in parents.items():
            for parent in above:
                children[parent].append(name)
        alike: dict[object, list[str]] = {}
        for name, above in parents.items():
            alike.setdefault((frozenset(above), frozenset(children[name])), []).append(name)
        unit_of = {name: tuple(unit) for unit in alike.values() for name in unit}
        self.all = list(dict.fromkeys(unit_of[name] for name in parents))
        self.parents = {unit: {unit_of[name] for name in parents[unit[0]]} for unit in self.all}
        self.children = {unit: {unit_of[name] for name in children[unit[0]]} for unit in self.all}
        self._depth: dict[Unit, int] = {}

    def depth(self, unit: Unit) -> int:
        """The length of the longest way to a unit."""
        waiting = [unit]
        while waiting:
            top = waiting[-1]
            unknown = [above for above in self.parents[top] if above not in self._depth]
            if unknown:
                waiting += unknown
                continue
            self._depth[top] = max(
                (self._depth[above] + 1 for above in self.parents[top]), default=0
            )
            waiting.pop()
        return self._depth[unit]


class _Drawing:
    def __init__(self, units: _Units, fold: Fold) -> None:
        self._units = units
        self._fold = fold
        self._lanes: list[Unit | None] = []  # for each column the unit that its lane leads to
        self._ended: int | None = None  # the column of the unit above, if its lane ends there

    def lines(self) -> Iterator[Line]:
        missing = {unit: len(above) for unit, above in self._units.parents.items()}
        ready = [unit for unit in self._units.all if not missing[unit]]
        while ready:
            unit = max(ready, key=lambda each: self._preference(each, ready))
            ready.remove(unit)
            if unit not in self._lanes and self._free(0) == self._ended:
                yield Line(self._picture({}), (), "")
            yield from self._draw(unit)
            for child in self._units.all:
                if child in self._units.children[unit]:
                    missing[child] -= 1
                    if not missing[child]:
                        ready.append(child)

    def _preference(self, unit: Unit, ready: list[Unit]) -> tuple[int, int]:
        """What has been begun goes on, the lane at the right first; else as given."""
        column = self._lanes.index(unit) if unit in self._lanes else -1
        return column, -ready.index(unit)

    def _draw(self, unit: Unit) -> Iterator[Line]:
        column = self._lanes.index(unit) if unit in self._lanes else self._open(self._free(0), unit)
        folded = self._fold(unit)
        bar = "●" if len(unit) == 1 else "║"
        for number, steps in enumerate(folded[:-1]):
            lanes = self._picture({column: "╓" if number == 0 else bar})
            yield Line(lanes, steps, self._picture({column: bar}))
        joined = {self._lanes.index(c) for c in self._units.children[unit] if c in self._lanes}
        opened = self._lead_on(unit, column)
        self._ended = None if self._lanes[column] else column
        mark = "╙" if len(folded) > 1 else bar
        lanes = self._picture(_connections(column, mark, joined, opened))
        yield Line(lanes, folded[-1], self._picture({}))
        while self._lanes and self._lanes[-1] is None:
            self._lanes.pop()

    def _lead_on(self, unit: Unit, column: int) -> set[int]:
        """Open the lanes to its further children, the farthest one below it; the new columns."""
        new = [child for child in self._units.all if child in self._units.children[unit]]
        new = [child for child in reversed(new) if child not in self._lanes]
        new.sort(
            key=self._units.depth, reverse=True
        )  # the first of equals at the right: it is next
        self._lanes[column] = new[0] if new else None
        return {self._open(self._free(column + 1), child) for child in new[1:]}

    def _open(self, column: int, unit: Unit) -> int:
        self._lanes += [None] * (column + 1 - len(self._lanes))
        self._lanes[column] = unit
        return column

    def _free(self, first: int) -> int:
        column = first
        while column < len(self._lanes) and self._lanes[column] is not None:
            column += 1
        return column

    def _picture(self, marks: Mapping[int, str]) -> str:
        """The lanes, with marks in some columns: one character, and one that leads rightwards."""
        width = max([len(self._lanes), *(column + 1 for column in marks)])
        cells = []
        for column in range(width):
            runs = column < len(self._lanes) and self._lanes[column] is not None
            mark = marks.get(column, " ")
            if runs and mark[0] in " ─":  # a line that crosses a lane without joining it
                mark = "│" + mark[1:]
            cells.append(mark.ljust(2))
        return "".join(cells).rstrip()


def _connections(column: int, mark: str, joined: set[int], opened: set[int]) -> dict[int, str]:
    """The marks of a line from `column` to the lanes that it joins and opens."""
    ends = {column, *joined, *opened}
    left, right = min(ends), max(ends)
    marks = {}
    for place in range(left, right + 1):
        line = "─" if place < right else ""
        if place == column:
            sign = mark
        elif place in joined:
            sign = "├" if place == left else "┤" if place == right else "┼"
        elif place in opened:
            sign = "╮" if place == right else "┬"
        else:
            sign = "─"
        marks[place] = sign + line
    return marks
