"""step_dag_relationships and calculate_dependency_levels: where a step stands in its graph."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..support.session import Session
from .states import check_that_ids_are_needed

COLUMNS = (
    "workflow_step_id", "task_id", "named_step_id", "name", "parent_step_ids", "child_step_ids",
    "parent_count", "child_count", "is_root_step", "is_leaf_step", "dependency_level",
)  # fmt: skip


def levels(db: Session, task: int) -> dict[str, int]:
    rows = db.call("calculate_dependency_levels", task_id=task)
    return {row.name: row.dependency_level for row in rows}


def test_the_columns(db: Session):
    """In the documented order."""
    db.run_with("a")
    assert db.row("table step_dag_relationships")._fields == COLUMNS
    [row] = db.call("calculate_dependency_levels", task_id=db.start())
    assert row._fields == ("workflow_step_id", "name", "dependency_level")


def test_parents_and_children(db: Session):
    """By id, in ascending order; roots have none of the first, leaves none of the second."""
    task = db.run_with("a->c b->c c->d c->e")
    ids = {step.name: step.workflow_step_id for step in db.steps(task)}
    rows = {
        row.name: row
        for row in db.rows("select * from step_dag_relationships where task_id = %s", task)
    }
    assert rows["c"].parent_step_ids == [ids["a"], ids["b"]]
    assert rows["c"].child_step_ids == [ids["d"], ids["e"]]
    assert (rows["c"].parent_count, rows["c"].child_count) == (2, 2)
    assert {name for name, row in rows.items() if row.is_root_step} == {"a", "b"}
    assert {name for name, row in rows.items() if row.is_leaf_step} == {"d", "e"}
    assert (rows["a"].parent_step_ids, rows["d"].child_step_ids) == ([], [])
    assert {name: row.dependency_level for name, row in rows.items()} == levels(db, task)


def test_a_level_is_one_more_than_the_deepest_parent(db: Session):
    """However short another way is."""
    assert levels(db, db.run_with("a->b->c->d a->d d->e x->e")) == {
        "a": 0, "x": 0, "b": 1, "c": 2, "d": 3, "e": 4,
    }  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_levels_of_any_graph(db: Session, data: st.DataObject):
    """As a walk over the edges counts them, in whatever order the steps are listed."""
    names = [f"s{number}" for number in range(data.draw(st.integers(1, 9)))]
    parents = {
        name: data.draw(st.sets(st.sampled_from(names[:place]), max_size=3)) if place else set()
        for place, name in enumerate(names)
    }
    wanted: dict[str, int] = {}
    for name in names:
        wanted[name] = max((wanted[parent] + 1 for parent in parents[name]), default=0)
    listed = data.draw(st.permutations(names))
    steps = [{"name": name, "depends_on": sorted(parents[name])} for name in listed]
    db.call("register_workflow", definition={"name": "any", "steps": steps})
    assert levels(db, db.start("any")) == wanted


def test_a_long_chain_and_a_wide_level(db: Session):
    """Linear in steps and edges."""
    chain = [f"s{number}" for number in range(1000)]
    steps = [{"name": chain[0]}]
    steps += [{"name": child, "depends_on": [parent]} for parent, child in pairwise(chain)]
    steps += [{"name": f"w{number}", "depends_on": ["s0"]} for number in range(500)]
    db.call("register_workflow", definition={"name": "long", "steps": steps})
    found = levels(db, db.start("long"))
    assert all(found[name] == place for place, name in enumerate(chain))
    assert {found[f"w{number}"] for number in range(500)} == {1}


def test_the_task_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "calculate_dependency_levels", "task_id")
