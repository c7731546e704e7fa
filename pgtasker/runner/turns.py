"""Who may begin now, where fewer attempts may run at once than the runner has slots.

Responsible for counting places, of a step (its `concurrency`) and of an executor (its `capacity`),
and for the order in which those who wait get them. What waiting means for a claim is left to
`execution`.
"""

from __future__ import annotations

import itertools
from collections import Counter, OrderedDict
from collections.abc import Mapping

from pgtasker.workflow import WorkflowStep

_Limit = tuple[str | int, int]  # a place (a step by its id, or an executor), and how many it takes


class Turns:
    """Places by step and by executor; `capacities` are those of the executors that have a limit."""

    def __init__(self, capacities: Mapping[str, int]) -> None:
        self._capacities = capacities
        self._limits: dict[int, tuple[WorkflowStep, list[_Limit]]] = {}
        self._taken: Counter[str | int] = Counter()
        self._lines: dict[int, _Line] = {}
        self._numbers = itertools.count()

    def ask(self, step: WorkflowStep, claim_id: int) -> bool:
        """Take a place if one is free; else the claim waits in line."""
        if self._has_place(step):
            self._take(step)
            return True
        line = self._lines.setdefault(id(step), _Line(step))
        line.numbers[claim_id] = next(self._numbers)
        return False

    def leave(self, step: WorkflowStep, claim_id: int) -> None:
        """The claim waits no longer, although it did not get its turn."""
        if id(step) in self._lines:
            self._lines[id(step)].numbers.pop(claim_id, None)

    def end(self, step: WorkflowStep) -> None:
        """Give a place back."""
        for place, _ in self._limits_of(step):
            self._taken[place] -= 1

    def next(self) -> int | None:
        """The claim that has waited longest of those for which there is a place; it has it now."""
        if not self._lines:
            return None
        ready = [
            line for line in self._lines.values() if line.numbers and self._has_place(line.step)
        ]
        if not ready:
            return None
        line = min(ready, key=lambda line: next(iter(line.numbers.values())))
        claim_id, _ = line.numbers.popitem(last=False)
        self._take(line.step)
        return claim_id

    def _has_place(self, step: WorkflowStep) -> bool:
        return all(self._taken[place] < most for place, most in self._limits_of(step))

    def _take(self, step: WorkflowStep) -> None:
        for place, _ in self._limits_of(step):
            self._taken[place] += 1

    def _limits_of(self, step: WorkflowStep) -> list[_Limit]:
        """Usually none; found once, for it is asked several times for each attempt."""
        if id(step) not in self._limits:
            places = (
                (id(step), step.concurrency),
                (step.executor, self._capacities.get(step.executor)),
            )
            limits = [(place, most) for place, most in places if most is not None]
            self._limits[id(step)] = (step, limits)  # with the step, which its id must outlive
        return self._limits[id(step)][1]


class _Line:
    """The claims of one step that wait, each with its number in the order of all."""

    def __init__(self, step: WorkflowStep) -> None:
        self.step = step
        self.numbers: OrderedDict[int, int] = OrderedDict()
