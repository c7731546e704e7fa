"""Pairs of operations that are stopped half way: no order of their locks leads to a deadlock.

A third session holds one row. The first operation runs until it needs that row, with all that it
locked before; the second runs until it needs that row too, or what the first has locked. Then the
row is let go, and both come to their end. The row is in turn each kind of row that is locked: a
step, a child, the task, a queue row, a runner.
"""

from __future__ import annotations

import psycopg
import pytest

from .operations import BUSY, TWO_RUNNING, Operation
from .shapes import Arena, Shape
from .test_pairs import outcome_of

pytestmark = pytest.mark.newest_only  # the locks are the statements', whatever the version

ROWS = {
    "step": "workflow_steps where workflow_step_id = {late}",
    "child": "workflow_steps where workflow_step_id = {j1}",
    "task": "tasks where task_id = {task}",
    "queue row": "step_queue where workflow_step_id = {ready}",
    "runner": "runners where runner_id = {alive}",
}
ROWS_OF_TWO = {
    "step": "workflow_steps where workflow_step_id = {y}",
    "task": "tasks where task_id = {task}",
}
SHAPES = {"busy": (BUSY, ROWS), "leaves": (TWO_RUNNING, ROWS_OF_TWO)}

CASES = [
    pytest.param(shape, row, number, id=f"{shape}-{row}-{operation.name}".replace(" ", "_"))
    for shape, (operations, rows) in SHAPES.items()
    for row in rows
    for number, operation in enumerate(operations)
]


def hold(arena: Arena, prepared: Shape, row: str) -> None:
    """The third session locks the row as a writer would."""
    where = row.format(task=prepared.task, **prepared.steps, **prepared.runners)
    arena.main.begin()
    arena.main.run(f"select from {where} for update")


def interleave(arena: Arena, shape: str, row: str, first: Operation, second: Operation) -> bool:
    """One case; whether the first was stopped at all."""
    prepared = arena.restore(shape)
    hold(arena, prepared, row)
    one = arena.one.later(outcome_of, first, arena.one, prepared).finished_or_blocked()
    stopped = not one.is_done()
    two = arena.two.later(outcome_of, second, arena.two, prepared) if stopped else None
    if two is not None:
        two.finished_or_blocked()
    arena.main.rollback()
    one.result()
    if two is not None:
        two.result()
        arena.consistent_state()
    return stopped


@pytest.mark.parametrize(("shape", "row", "number"), CASES)
def test_what_is_stopped_half_way_comes_to_its_end(
    arena: Arena, shape: str, row: str, number: int
) -> None:
    """Together with whatever else was begun meanwhile, and the end is consistent."""
    operations, rows = SHAPES[shape]
    wrong = []
    for place, second in enumerate(operations):
        if place < number and not second.skips:
            continue  # The two were stopped in the other order.
        try:
            if not interleave(arena, shape, rows[row], operations[number], second):
                break  # It does not need this row: the pairs without a third session say it all.
        except (AssertionError, psycopg.Error) as problem:
            for session in (arena.main, arena.one, arena.two):
                session.conn.rollback()
            wrong.append(f"{operations[number].name}, {second.name}: {problem}")
    assert not wrong, "\n".join(wrong)
