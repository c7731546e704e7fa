"""Claims ahead of the free slots: they begin in order, and none is kept for long."""

from __future__ import annotations

import asyncio

import pytest

from pgtasker.runner import ahead
from pgtasker.runner.ahead import MOST_AHEAD, MOST_TEXT, PER_SLOT, Pace

from .bench import Bench, reached, run
from .claims import claim


class Line:
    """A bench with one slot, and its handler, which waits until it is let go."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.go: dict[int, asyncio.Event] = {}
        self.bench = Bench(self._work, slots=1)
        self.executions = self.bench.executions

    async def _work(self, context: int) -> None:
        self.begun.append(context)
        await self.go.setdefault(context, asyncio.Event()).wait()

    def claimed(self, *numbers: int) -> None:
        """So many claims, which the slot cannot hold."""
        for number in numbers:
            self.executions.begin(claim(claim_id=number, context=number))

    def let_go(self, number: int) -> None:
        """The handler of this claim returns."""
        self.go.setdefault(number, asyncio.Event()).set()

    def outcomes(self) -> dict[int, str]:
        """How each reported claim ended."""
        return {number: each["outcome"] for number, each in self.bench.reported().items()}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No claim goes back because it waited too long."""
    monkeypatch.setattr(ahead, "PATIENCE", 3600.0)


@pytest.mark.usefixtures("patient")
def test_no_more_handlers_run_at_once_than_there_are_slots():
    """What is claimed beyond them begins when one ends, in the order in which it came."""

    async def scenario() -> None:
        line = Line()
        line.claimed(1, 2, 3)
        for number in (1, 2, 3):
            await reached(lambda number=number: line.begun[-1:] == [number])
            assert line.executions.occupied == 1
            assert line.executions.open == 4 - number
            line.let_go(number)
        await reached(lambda: line.executions.open == 0)
        assert line.begun == [1, 2, 3]
        assert line.outcomes() == {1: "complete", 2: "complete", 3: "complete"}

    run(scenario)


@pytest.mark.usefixtures("patient")
def test_a_claim_without_a_slot_is_held():
    """A heartbeat lists it, and no slot counts as free for it."""

    async def scenario() -> None:
        line = Line()
        line.claimed(1, 2)
        assert line.executions.claims == [1, 2]
        assert line.executions.unclaimed == -1
        line.let_go(1)
        line.let_go(2)
        await reached(lambda: line.executions.open == 0)
        assert line.executions.claims == []
        assert line.executions.unclaimed == 1

    run(scenario)


@pytest.mark.usefixtures("patient")
def test_a_claim_that_is_lost_before_it_begins_never_begins():
    """Nothing is reported of it, and the next one has its place."""

    async def scenario() -> None:
        line = Line()
        line.claimed(1, 2, 3)
        line.executions.settle(2, None)
        line.let_go(1)
        line.let_go(3)
        await reached(lambda: line.executions.open == 0)
        assert line.begun == [1, 3]
        assert line.outcomes() == {1: "complete", 3: "complete"}

    run(scenario)


@pytest.mark.usefixtures("patient")
def test_a_runner_that_stops_gives_back_what_has_not_begun():
    """What runs goes on."""

    async def scenario() -> None:
        line = Line()
        line.claimed(1, 2, 3)
        await reached(lambda: line.begun == [1])
        line.executions.release(held_only=True)
        assert line.outcomes() == {2: "release", 3: "release"}
        line.let_go(1)
        await reached(lambda: line.executions.open == 0)
        assert line.begun == [1]
        assert line.outcomes()[1] == "complete"

    run(scenario)


def test_a_claim_that_waits_too_long_goes_back(monkeypatch: pytest.MonkeyPatch):
    """A handler turned out to be slow: another runner may have what waits behind it."""

    async def scenario() -> None:
        monkeypatch.setattr(ahead, "PATIENCE", 0.01)
        line = Line()
        line.claimed(1, 2)
        await reached(lambda: line.outcomes() == {2: "release"})
        line.claimed(3)
        await reached(lambda: line.outcomes() == {2: "release", 3: "release"})
        assert line.begun == [1]
        assert line.executions.claims == [1]
        line.let_go(1)
        await reached(lambda: line.executions.open == 0)

    run(scenario)


def pace(
    *, cycle: float, took: float, ended: int, size: int = 100, idle: bool = False, slots: int = 50
) -> int:
    """What is expected where so many attempts end in each cycle, an advance taking so long."""
    given = Pace(slots)
    for number in (1, 2):
        given.sent(number * cycle, number * ended)
        given.answered(number * cycle + took, idle=idle, claims=50, text=50 * size)
    given.sent(3 * cycle, 3 * ended)
    return given.expected


def test_quick_handlers_are_worth_claims_ahead():
    """As many as end while an advance is under way: its share of the time, of what ended."""
    assert pace(cycle=0.010, took=0.008, ended=50) == 40
    assert pace(cycle=0.010, took=0.010, ended=50) == 50


def test_a_runner_that_was_left_without_work_wants_more():
    """More would have ended, had there been more."""
    assert pace(cycle=0.010, took=0.008, ended=50, idle=True) == 80


def test_slow_handlers_are_worth_none():
    """Of fifty that take a second each, none ends during an advance of some milliseconds."""
    assert pace(cycle=0.020, took=0.005, ended=1) == 0


def test_no_runner_hoards():
    """However quick its handlers are; with few slots still less."""
    assert pace(cycle=0.010, took=0.010, ended=5000) == MOST_AHEAD
    assert pace(cycle=0.010, took=0.010, ended=5000, slots=2) == 2 * PER_SLOT


def test_large_claims_are_not_piled_up():
    """What waits for a slot is in memory."""
    assert pace(cycle=0.010, took=0.010, ended=5000, size=1_000_000) == MOST_TEXT // 1_000_000
