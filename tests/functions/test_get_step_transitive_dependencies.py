"""get_step_transitive_dependencies: every step that must be over before one can run."""

from __future__ import annotations

from ..support.session import Session
from .states import check_that_ids_are_needed


def dependencies(db: Session, task: int, step: str) -> list[tuple[str, int]]:
    step_id = db.step_id(task, step)
    rows = db.call("get_step_transitive_dependencies", workflow_step_id=step_id)
    return [(row.name, row.distance) for row in rows]


def test_the_columns(db: Session):
    """In the documented order."""
    task = db.run_with("a->b")
    [row] = db.call("get_step_transitive_dependencies", workflow_step_id=db.step_id(task, "b"))
    assert row._fields == (
        "workflow_step_id", "name", "state", "processed", "distance", "results"
    )  # fmt: skip


def test_ancestors_only_the_nearest_first(db: Session):
    """Each once, by its shortest way; neither siblings nor children."""
    task = db.run_with("a->b->c->d a->d x->d d->e y")
    assert dependencies(db, task, "d") == [("a", 1), ("x", 1), ("c", 1), ("b", 2)]
    assert dependencies(db, task, "a") == []
    assert dependencies(db, task, "y") == []


def test_they_come_with_what_they_answered(db: Session):
    """Null while they run, when they failed, and when they were skipped."""
    task = db.run_with("a->c b->c x->c c->d", x={"skippable": True}, b={"priority": -1})
    for step in db.claim(1):
        db.complete(step, {"from": step.step_name})
    db.call("skip_step", workflow_step_id=db.step_id(task, "x"))
    db.break_step("b")
    rows = db.call("get_step_transitive_dependencies", workflow_step_id=db.step_id(task, "d"))
    found = {row.name: (row.state, row.processed, row.results) for row in rows}
    assert found == {
        "a": ("complete", True, {"from": "a"}),
        "b": ("error", False, None),
        "c": ("pending", False, None),
        "x": ("skipped", True, None),
    }


def test_a_graph_with_many_ways(db: Session):
    """Layers that all depend on all before: each ancestor still once."""
    layers = [[f"s{layer}_{place}" for place in range(4)] for layer in range(6)]
    steps = [
        {"name": name, "depends_on": layers[layer - 1] if layer else []}
        for layer, names in enumerate(layers)
        for name in names
    ]
    db.call("register_workflow", definition={"name": "dense", "steps": steps})
    found = dependencies(db, db.start("dense"), "s5_0")
    assert len(found) == len(set(found)) == 20


def test_the_step_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "get_step_transitive_dependencies", "workflow_step_id")
