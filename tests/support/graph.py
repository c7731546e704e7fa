"""Workflow definitions from edge strings: `workflow("a->b a->c b->d c->d")`."""

from __future__ import annotations

from itertools import pairwise
from typing import Any


def workflow(
    edges: str, name: str = "flow", steps: dict[str, dict[str, Any]] | None = None, **fields: Any
) -> dict[str, Any]:
    """A definition; steps stand in the order of their first mention.

    `"a->b->c d"` is a chain of three and a step by itself; `steps` gives a step more fields, and
    `fields` the workflow.
    """
    parents: dict[str, list[str]] = {}
    for chain in edges.split():
        names = chain.split("->")
        for step in names:
            parents.setdefault(step, [])
        for parent, child in pairwise(names):
            parents[child].append(parent)
    more = steps or {}
    unknown = more.keys() - parents.keys()
    assert not unknown, f"no such step in {edges!r}: {unknown}"
    return {
        "name": name,
        **fields,
        "steps": [
            {"name": step, **({"depends_on": after} if after else {}), **more.get(step, {})}
            for step, after in parents.items()
        ],
    }
