"""Turns: who may begin now, where there are fewer places than slots."""

from __future__ import annotations

from typing import Any

from pgtasker import Workflow
from pgtasker.runner.turns import Turns
from pgtasker.workflow import WorkflowStep


def steps(**options: dict[str, Any]) -> list[WorkflowStep]:
    """Declared steps with these options; one that is `on_loop` is a coroutine function."""

    async def on_loop() -> None: ...

    workflow = Workflow("flow")
    for name, given in options.items():
        function = on_loop if given.pop("on_loop", False) else lambda: None
        workflow.step(name=name, **given)(function)
    return list(workflow.steps.values())


def test_without_a_limit_there_is_always_a_place():
    """Nobody ever waits."""
    (step,) = steps(a={})
    turns = Turns({})
    assert all(turns.ask(step, number) for number in range(100))
    assert turns.next() is None


def test_a_place_that_is_given_back_goes_to_the_first_in_line():
    """In the order in which they asked."""
    (step,) = steps(a={"concurrency": 1})
    turns = Turns({})
    assert [turns.ask(step, number) for number in (1, 2, 3)] == [True, False, False]
    assert turns.next() is None
    turns.end(step)
    assert (turns.next(), turns.next()) == (2, None)
    turns.end(step)
    assert (turns.next(), turns.next()) == (3, None)


def test_who_left_the_line_gets_no_turn():
    """The next one gets it."""
    (step,) = steps(a={"concurrency": 1})
    turns = Turns({})
    for number in (1, 2, 3):
        turns.ask(step, number)
    turns.leave(step, 2)
    turns.end(step)
    assert turns.next() == 3


def test_steps_share_the_places_of_their_executor():
    """Whoever waits longest goes first, whichever step it is of; other executors are not met."""
    first, second, other = steps(first={}, second={}, other={"on_loop": True})
    turns = Turns({"thread": 1})
    asked = [turns.ask(step, number) for number, step in enumerate([first, second, first, other])]
    assert asked == [True, False, False, True]
    turns.end(first)
    assert (turns.next(), turns.next()) == (1, None)
    turns.end(second)
    assert turns.next() == 2


def test_a_step_at_its_limit_does_not_keep_others_from_their_executor():
    """Of those in line, the first that fits goes."""
    narrow, wide = steps(narrow={"concurrency": 1}, wide={})
    turns = Turns({"thread": 2})
    asked = [turns.ask(step, number) for number, step in enumerate([narrow, narrow, wide, wide])]
    assert asked == [True, False, True, False]
    turns.end(wide)
    assert turns.next() == 3
