"""Every ordered pair of operations that can meet on one task, in two sessions.

The first acts and stays in its transaction; the second acts, and waits or passes over what is
locked; the first commits or rolls back. Whatever happens, nobody is refused but for a documented
reason, there is no deadlock, the engine finds nothing wrong with itself, and the end is the one
that the same two calls have one after the other.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from ..support.session import Session
from .operations import OPERATIONS, Operation
from .shapes import Arena, Shape

REFUSALS = {"TK001", "TK002", "TK004", "55000"}

FIRSTS = [
    pytest.param(shape, number, id=f"{shape}-{operation.name.replace(' ', '_')}")
    for shape, operations in OPERATIONS.items()
    for number, operation in enumerate(operations)
]


def outcome_of(act: Any, *arguments: Any) -> Any:
    """What it returned, or why it was refused."""
    try:
        return act(*arguments)
    except psycopg.Error as error:
        if error.sqlstate not in REFUSALS:
            raise
        return f"refused: {error.sqlstate}"


def is_refused(outcome: Any) -> bool:
    return isinstance(outcome, str) and outcome.startswith("refused")


def serially(arena: Arena, shape: str, *operations: Operation) -> tuple[Any, Any]:
    """State and last refusal after these operations, one after the other (remembered)."""
    key = (shape, *(operation.name for operation in operations))
    if key not in arena.memory:
        prepared = arena.restore(shape)
        for operation in operations:
            outcome = outcome_of(operation, arena.one, prepared)
        if operations[-1].skips:
            finish(arena, operations[-1], prepared)
        arena.memory[key] = (arena.consistent_state(), is_refused(outcome) and outcome)
    return arena.memory[key]


def finish(arena: Arena, operation: Operation, prepared: Shape) -> None:
    """Repeat it until it finds nothing more to do: what it passed over, it finds the next time.

    Or after the next full look at the queues, a second later at most; here that second passes.
    """
    before, after = None, arena.state()
    while after != before:
        arena.main.run("update housekeeping set looked_at = '-infinity', search_at = '-infinity'")
        outcome_of(operation, arena.two, prepared)
        before, after = after, arena.state()


def race(arena: Arena, shape: str, first: Operation, second: Operation, ending: str) -> None:
    """One case; an assertion or an unexpected error says what is wrong."""
    prepared = arena.restore(shape)
    one, two = arena.one, arena.two
    one.begin()
    before = outcome_of(first, one, prepared)
    waiting = two.later(outcome_of, second, two, prepared).finished_or_blocked()
    one.run(ending)
    after = waiting.result()
    done = [first] if ending == "commit" and not is_refused(before) else []
    ended = arena.consistent_state()
    if second.skips:
        finish(arena, second, prepared)
        ended = arena.consistent_state()
    expected, refused = serially(arena, shape, *done, second)
    if second.skips and ended != expected:
        # It took what was free before the other committed.
        expected, refused = serially(arena, shape, second, *done, second)
    assert second.skips or (is_refused(after) and after) == refused
    assert ended == expected


def reset_after_error(*sessions: Session) -> None:
    for session in sessions:
        session.conn.rollback()


@pytest.mark.parametrize(("shape", "number"), FIRSTS)
def test_each_pair_ends_as_if_one_came_after_the_other(
    arena: Arena, shape: str, number: int
) -> None:
    """Whether the first commits or rolls back."""
    first = OPERATIONS[shape][number]
    wrong = []
    for second in OPERATIONS[shape]:
        for ending in ("commit", "rollback"):
            try:
                race(arena, shape, first, second, ending)
            except (AssertionError, psycopg.Error) as problem:
                reset_after_error(arena.one, arena.two)
                wrong.append(f"{first.name}, {second.name}, {ending}: {problem}")
    assert not wrong, "\n".join(wrong)
