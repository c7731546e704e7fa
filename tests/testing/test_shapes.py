"""Workflows of five shapes."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from pgtasker import Client, Workflow
from pgtasker.testing import diamond, linear, mixed, parallel_merge, run_workflow, shapes, tree

SHAPES = [linear, diamond, parallel_merge, tree, mixed]
RESULTS = {
    "linear": {"step_6": 6},
    "diamond": {"end": 6},
    "parallel_merge": {"merge": 7},
    "tree": {f"leaf_{branch}_{leaf}": 3 for branch in (1, 2) for leaf in (1, 2)},
    "mixed": {"report": 10, "optional": 6},
}


def edges(workflow: Workflow) -> set[tuple[str, str]]:
    """Parent and child of every edge."""
    steps = workflow.steps.values()
    return {(parent, step.name) for step in steps for parent in step.depends_on}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_a_shape_has_the_edges_that_it_describes(shape: Callable[..., Workflow]):
    """Its docstring draws them, for the sizes that it has by itself."""
    drawn = set()
    for line in (shape.__doc__ or "").splitlines():
        places = [place.split(", ") for place in line.strip().split(" -> ")]
        for parents, children in itertools.pairwise(places):
            drawn |= {(parent, child) for parent in parents for child in children}
    assert drawn == edges(shape())


@pytest.mark.newest_only
def test_a_step_counts_what_came_before_it(client: Client):
    """Each ran after its parents and received their results, whatever the shape."""
    for workflow in shapes():
        task = run_workflow(client, workflow)
        assert (task.state, task.results) == ("complete", RESULTS[workflow.name])


def test_sizes_are_free():
    """Steps, branches and leaves."""
    assert list(linear(2).steps) == ["step_1", "step_2"]
    assert linear(1).steps["step_1"].depends_on == ()
    assert len(parallel_merge(branches=10).steps) == 21
    assert len(tree(branches=3, leaves=4).steps) == 1 + 3 + 12


def test_names_handlers_and_options_are_free():
    """For all steps of a shape, or a handler for some of them."""

    def handler(context: object) -> None: ...

    everywhere = mixed(name="own", namespace="tests", version="2.0.0", handler=handler)
    assert repr(everywhere) == "<Workflow tests/own 2.0.0>"
    assert {step.function for step in everywhere.steps.values()} == {handler}
    assert edges(everywhere) == edges(mixed())
    some = diamond(handler={"left": handler}, options={"retry_limit": 7})
    assert [name for name, step in some.steps.items() if step.function is handler] == ["left"]
    assert {step.options["retry_limit"] for step in some.steps.values()} == {7}
    with pytest.raises(ValueError, match="no step of diamond is called 'up': start, left"):
        diamond(handler={"up": handler})
