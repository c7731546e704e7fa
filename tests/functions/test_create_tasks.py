"""create_tasks: starts many runs of one workflow with one call."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.databases import Database
from ..support.session import Session


def test_ids_come_in_the_order_of_the_contexts(db: Session):
    """The caller can put the two lists side by side."""
    db.define("a->b")
    contexts = [{"n": number} for number in range(50)]
    tasks = db.call("create_tasks", name="flow", contexts=contexts)
    assert [db.task(task).context for task in tasks] == contexts


def test_ten_thousand_are_normal(db: Session):
    """Each has its steps, and they are ready."""
    db.define("a->b")
    tasks = db.call("create_tasks", name="flow", contexts=[{"n": n} for n in range(10_000)])
    assert len(set(tasks)) == 10_000
    assert db.one("select count(*) from workflow_steps") == 20_000
    assert len(db.claim(100)) == 100


def test_all_get_what_is_given(db: Session):
    """The other parameters are those of create_task."""
    db.define("a", namespace="shop", version="1.2.3")
    given: dict[str, Any] = {
        "namespace": "shop",
        "version": "1.2.3",
        "priority": 5,
        "run_at": db.one("select clock() + interval '1 hour'"),
        "initiator": "ann",
        "source_system": "web",
        "reason": "ordered",
        "tags": ["vip"],
    }
    for task in db.call("create_tasks", name="flow", contexts=[{}, {}], **given):
        assert {name: getattr(db.task(task), name) for name in given} == given


def test_no_contexts_are_no_tasks(db: Session):
    """An empty list is no mistake."""
    db.define("a")
    assert db.call("create_tasks", name="flow", contexts=[]) == []
    assert db.call("create_tasks", name="flow", contexts=[], idempotency_keys=[]) == []


def test_keys_that_are_known_give_their_tasks(db: Session):
    """Old and new ones side by side, a null key being none, in the order of the contexts."""
    db.define("a")
    known = db.start(context={"n": 2}, idempotency_key="two")
    tasks = db.call(
        "create_tasks",
        name="flow",
        contexts=[{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}],
        idempotency_keys=["one", "two", None, "four"],
    )
    assert tasks[1] == known
    assert len(set(tasks)) == 4
    assert [db.task(task).context["n"] for task in tasks] == [1, 2, 3, 4]
    assert [db.task(task).idempotency_key for task in tasks] == ["one", "two", None, "four"]
    assert db.one("select count(*) from tasks") == 4


def test_the_same_key_twice_in_one_call_is_one_task(db: Session):
    """With the same context, as it would be in two calls."""
    db.define("a")
    tasks = db.call(
        "create_tasks", name="flow", contexts=[{}, {}, {}], idempotency_keys=["k", "j", "k"]
    )
    assert tasks[0] == tasks[2] != tasks[1]
    assert db.one("select count(*) from tasks") == 2


@pytest.mark.parametrize("known", [True, False])
def test_a_key_with_another_context_is_refused(db: Session, known: bool):
    """All or nothing: the others are not created either."""
    db.define("a")
    if known:
        db.start(context={"n": 1}, idempotency_key="k")
    with db.refused("TK002", "k"):
        db.call(
            "create_tasks",
            name="flow",
            contexts=[{"n": 0}, {"n": 1}, {"n": 2}],
            idempotency_keys=["j", "k", "k"],
        )


def test_two_calls_with_the_same_keys_do_not_deadlock(database: Database):
    """Keys are taken in one order, whatever the order of the contexts."""
    first, second = database.connect("first"), database.connect("second")
    first.define("a")
    keys = [f"k{number}" for number in range(20)]
    contexts = [{} for _ in keys]
    first.begin()
    given = {"name": "flow", "contexts": contexts}
    mine = first.call("create_tasks", **given, idempotency_keys=keys)
    waiting = second.later(second.call, "create_tasks", **given, idempotency_keys=keys[::-1])
    waiting.blocked_by(first)
    first.commit()
    assert waiting.result() == mine[::-1]


def test_those_whose_context_does_not_fit_fail_alone(db: Session):
    """The others of the call start."""
    db.define("a->b", context_schema={"properties": {"n": {"type": "integer"}}})
    contexts = [{"n": n if n % 3 else str(n)} for n in range(12)]
    tasks = [db.task(task) for task in db.call("create_tasks", name="flow", contexts=contexts)]
    assert [task.context for task in tasks] == contexts
    assert [task.state for task in tasks] == ["error", "pending", "pending"] * 4
    assert {task.error["a"]["message"] for task in tasks if task.error} == {
        "the context does not fit: context.n must be integer, not string"
    }
    assert len(db.claim(20)) == 8


def test_only_tasks_that_are_new_are_checked(db: Session):
    """A task that is known by its key stays as it is, beside others that fail."""
    db.define("a")
    known = db.start(context={"n": "2"}, idempotency_key="two")
    db.define("a", context_schema={"properties": {"n": {"type": "integer"}}})
    tasks = db.call(
        "create_tasks",
        name="flow",
        contexts=[{"n": "1"}, {"n": "2"}, {"n": 3}, {"n": "1"}],
        idempotency_keys=["one", "two", "three", "one"],
    )
    assert tasks[1] == known
    assert [db.state_of(task) for task in tasks] == ["error", "pending", "pending", "error"]
    assert len(db.history(tasks[0])) == 2


def test_a_thousand_contexts_that_do_not_fit(db: Session):
    """One statement fails them all."""
    db.define("a->b", context_schema={"required": ["n"]})
    db.call("create_tasks", name="flow", contexts=[{}] * 1000)
    assert db.one("select count(*) from tasks where state = 'error'") == 1000
    assert db.one("select count(distinct xmin::text) from workflow_step_transitions") == 1
    assert db.claim(1) == []


BAD = {
    "null contexts": ({"contexts": None}, "22004", "contexts"),
    "a null context": ({"contexts": [{}, None]}, "22023", r"contexts\[2\]"),
    "a context that is an array": ({"contexts": [{}, {}, []]}, "22023", r"contexts\[3\].*array"),
    "too few keys": ({"idempotency_keys": ["k"]}, "22023", "1 idempotency_keys for 2 contexts"),
    "too many keys": ({"idempotency_keys": ["k", "l", "m"]}, "22023", "3 idempotency_keys"),
    "an empty key": ({"idempotency_keys": ["k", ""]}, "22023", "idempotency key"),
    "null tags": ({"tags": None}, "22004", "tags"),
    "a null name": ({"name": None}, "22004", "name"),
    "a null namespace": ({"namespace": None}, "22004", "namespace"),
    "an unknown workflow": ({"name": "flux"}, "TK003", "flux"),
    "an unknown version": ({"version": "7.0.0"}, "TK003", "7.0.0"),
}


@pytest.mark.parametrize(("asked", "sqlstate", "match"), BAD.values(), ids=BAD)
def test_bad_input_is_refused(db: Session, asked: dict[str, Any], sqlstate: str, match: str):
    """And no task is created."""
    db.define("a")
    given = {"name": "flow", "contexts": [{}, {}]} | asked
    if given["contexts"] is not None:
        given["contexts"] = [None if c is None else db.json(c) for c in given["contexts"]]
    with db.refused(sqlstate, match):
        db.call("create_tasks", **given)


def test_one_context_above_the_payload_limit_refuses_all(db: Session):
    """The error names its place."""
    db.define("a")
    db.call("set_setting", name="payload_limit", value="100")
    with db.refused("54000", r"contexts\[2\].*\b100\b"):
        db.call("create_tasks", name="flow", contexts=[{}, {"x": "y" * 100}])
