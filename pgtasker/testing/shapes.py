"""Workflows of five shapes, for tests that must hold whatever the graph is.

Responsible for `linear`, `diamond`, `parallel_merge`, `tree` and `mixed`. A step that was given no
handler of its own counts: it returns 1 and what its parents returned, added up, so results prove
that each step ran after its parents and received theirs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, Unpack

from pgtasker.workflow import DEFAULT_VERSION, StepOptions, Workflow

Handler = Callable[..., Any]


class ShapeOptions(TypedDict, total=False):
    """What every shape takes.

    `handler` executes every step, or a mapping names a handler for some of them; such a handler
    may take `context` and `step`, and no results. `options` are those of every step. The workflow
    bears the name of the shape unless `name` is given, in the namespace `shapes`.
    """

    name: str
    namespace: str
    version: str
    handler: Handler | Mapping[str, Handler]
    options: StepOptions


def linear(steps: int = 6, **more: Unpack[ShapeOptions]) -> Workflow:
    """One step after the other.

        step_1 -> step_2 -> step_3 -> step_4 -> step_5 -> step_6

    >>> run_workflow(client, linear()).results
    {'step_6': 6}
    """
    names = [f"step_{number}" for number in range(1, steps + 1)]
    parents = {name: names[place - 1 : place] for place, name in enumerate(names)}
    return _workflow("linear", parents, more)


def diamond(**more: Unpack[ShapeOptions]) -> Workflow:
    """Two branches from one step, and back together.

    start -> left, right
    left, right -> merge
    merge -> end

    >>> run_workflow(client, diamond()).results
    {'end': 6}
    """
    parents = {
        "start": [],
        "left": ["start"],
        "right": ["start"],
        "merge": ["left", "right"],
        "end": ["merge"],
    }
    return _workflow("diamond", parents, more)


def parallel_merge(branches: int = 3, **more: Unpack[ShapeOptions]) -> Workflow:
    """Independent branches of two steps each, and one that waits for all of them.

    fetch_1 -> process_1
    fetch_2 -> process_2
    fetch_3 -> process_3
    process_1, process_2, process_3 -> merge

    >>> run_workflow(client, parallel_merge(branches=3)).results
    {'merge': 7}
    """
    numbers = range(1, branches + 1)
    parents: dict[str, list[str]] = {f"fetch_{number}": [] for number in numbers}
    parents |= {f"process_{number}": [f"fetch_{number}"] for number in numbers}
    parents["merge"] = [f"process_{number}" for number in numbers]
    return _workflow("parallel_merge", parents, more)


def tree(branches: int = 2, leaves: int = 2, **more: Unpack[ShapeOptions]) -> Workflow:
    """One root, branches, and leaves that nothing brings together again.

    root -> branch_1, branch_2
    branch_1 -> leaf_1_1, leaf_1_2
    branch_2 -> leaf_2_1, leaf_2_2

    >>> run_workflow(client, tree(branches=1)).results
    {'leaf_1_1': 3, 'leaf_1_2': 3}
    """
    numbers = range(1, branches + 1)
    parents: dict[str, list[str]] = {"root": []}
    parents |= {f"branch_{branch}": ["root"] for branch in numbers}
    parents |= {
        f"leaf_{branch}_{leaf}": [f"branch_{branch}"]
        for branch in numbers
        for leaf in range(1, leaves + 1)
    }
    return _workflow("tree", parents, more)


def mixed(**more: Unpack[ShapeOptions]) -> Workflow:
    """Two roots, a join, a fork, a shortcut past the join, and a leaf that nothing waits for.

    login -> permissions
    config -> environment
    permissions, environment -> begin
    begin -> critical, optional
    environment -> cleanup
    critical, cleanup -> report

    >>> run_workflow(client, mixed()).results
    {'report': 10, 'optional': 6}
    """
    parents = {
        "login": [],
        "config": [],
        "permissions": ["login"],
        "environment": ["config"],
        "begin": ["permissions", "environment"],
        "critical": ["begin"],
        "optional": ["begin"],
        "cleanup": ["environment"],
        "report": ["critical", "cleanup"],
    }
    return _workflow("mixed", parents, more)


def shapes(**more: Unpack[ShapeOptions]) -> list[Workflow]:
    """One workflow of each of the five shapes, all with the same handlers and options."""
    return [shape(**more) for shape in (linear, diamond, parallel_merge, tree, mixed)]


def _workflow(shape: str, parents: Mapping[str, list[str]], more: ShapeOptions) -> Workflow:
    workflow = Workflow(
        more.get("name", shape),
        namespace=more.get("namespace", "shapes"),
        version=more.get("version", DEFAULT_VERSION),
    )
    given = more.get("handler", {})
    options = more.get("options", {})
    if isinstance(given, Mapping):
        unknown = given.keys() - parents.keys()
        if unknown:
            known = ", ".join(parents)
            raise ValueError(f"no step of {workflow.name} is called {min(unknown)!r}: {known} are")
    for name, after in parents.items():
        handler = given.get(name) if isinstance(given, Mapping) else given
        handler = _Counting(after) if handler is None else handler
        workflow.step(name=name, after=after, **options)(handler)
    return workflow


class _Counting:
    """A handler with a parameter for each parent; a result that is no number counts as none."""

    def __init__(self, parents: list[str]) -> None:
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [inspect.Parameter(parent, kind) for parent in parents]
        self.__signature__ = inspect.Signature(parameters)

    def __call__(self, **results: Any) -> int:
        return 1 + sum(result for result in results.values() if isinstance(result, int))
