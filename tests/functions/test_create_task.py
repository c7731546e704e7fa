"""create_task: starts one run of a workflow, inside the caller's own transaction."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.databases import Database
from ..support.graph import workflow
from ..support.session import Session


def test_a_name_is_enough(db: Session):
    """Every other parameter has its documented default."""
    db.define("a->b")
    task = db.task(db.call("create_task", name="flow"))
    assert (task.namespace, task.name, task.version) == ("default", "flow", "0.1.0")
    assert (task.state, task.complete, task.paused) == ("pending", False, False)
    assert (task.context, task.tags) == ({}, [])
    assert (task.idempotency_key, task.priority, task.run_at) == (None, None, None)
    assert (task.initiator, task.source_system, task.reason) == (None, None, None)
    assert (task.total_steps, task.processed_steps, task.failed_steps) == (2, 0, 0)
    assert task.created_at == db.call("clock")
    assert task.started_at is None
    assert task.finished_at is None


def test_what_is_given_is_kept(db: Session):
    """Everything comes back from get_task as it was given."""
    db.define("a", "flow", namespace="shop", version="1.2.3")
    run_at = db.one("select clock() + interval '1 hour'")
    given: dict[str, Any] = {
        "context": {"order_id": 7},
        "namespace": "shop",
        "version": "1.2.3",
        "idempotency_key": "order-7",
        "priority": 5,
        "run_at": run_at,
        "initiator": "ann",
        "source_system": "web",
        "reason": "ordered",
        "tags": ["vip", "eu"],
    }
    task = db.task(db.start("flow", **given))
    assert {name: getattr(task, name) for name in given} == given


def test_only_roots_are_ready(db: Session):
    """A step with a parent waits for it."""
    db.run_with("a->c b->c")
    assert sorted(step.step_name for step in db.claim(10)) == ["a", "b"]


def test_a_task_joins_the_callers_transaction(database: Database):
    """Nobody sees it before the commit, and a rollback takes it back."""
    db, other = database.main, database.connect()
    db.define("a")
    db.begin()
    task = db.start()
    assert other.claim(1) == []
    assert other.rows("select from tasks") == []
    db.rollback()
    assert db.rows("select from tasks") == []
    db.begin()
    task = db.start()
    db.commit()
    assert other.claim_only("a").task_id == task


@pytest.mark.parametrize(
    ("versions", "highest"),
    [
        (["1.9.0", "1.10.0"], "1.10.0"),
        (["2.0.0-rc.1", "2.0.0", "1.0.0"], "2.0.0"),
        (["1.0.0-alpha.2", "1.0.0-alpha.10", "1.0.0-alpha"], "1.0.0-alpha.10"),
        (["1.0.0-rc.1", "1.0.0-beta.11", "1.0.0-alpha.beta", "1.0.0-alpha.1"], "1.0.0-rc.1"),
        (["1.0.0-1", "1.0.0-a"], "1.0.0-a"),
        (["1.0.0-a", "1.0.0-B"], "1.0.0-a"),
        (["1.0.0-a-b", "1.0.0-ab"], "1.0.0-ab"),
        (["0.1.0", "0.0.9"], "0.1.0"),
    ],
)
def test_no_version_is_the_highest_semantic_version(db: Session, versions: list[str], highest: str):
    """By the rules of semver 2.0.0, and not by the order of registration or of letters."""
    for version in versions + versions[::-1]:
        db.define("a", version=version)
    assert db.task(db.start()).version == highest


def test_a_version_that_is_asked_for(db: Session):
    """It need not be the highest."""
    for version in ("1.0.0", "2.0.0"):
        db.define("a", version=version)
    assert db.task(db.start(version="1.0.0")).version == "1.0.0"


def test_a_delayed_task_waits_for_its_time(db: Session):
    """Nothing of it is ready before run_at; maintain makes it ready then."""
    db.define("a->b")
    task = db.start(run_at=db.one("select clock() + interval '60 s'"))
    assert db.claim(1) == []
    db.wait(59.9)
    assert db.claim(1) == []
    db.wait(0.1)
    assert db.claim_only("a").task_id == task


def test_a_run_at_in_the_past_is_now(db: Session):
    """A task that is late already does not wait for maintain."""
    db.define("a")
    db.start(run_at=db.one("select clock() - interval '1 day'"))
    assert db.claim_only("a")


def test_the_priority_of_a_task_replaces_that_of_its_steps(db: Session):
    """Higher first; null leaves each step its own."""
    db.define("a", "low", steps={"a": {"priority": 1}})
    db.define("a", "high", steps={"a": {"priority": 2}})
    for name, priority in [("low", None), ("high", None), ("low", 9), ("high", -1)]:
        db.start(name, priority=priority)
    order = [(step.workflow_name, step.priority) for step in db.claim(10)]
    assert order == [("low", 9), ("high", 2), ("low", 1), ("high", -1)]


# Idempotency keys


def test_the_same_key_and_context_give_the_same_task(db: Session):
    """Also after it has run, and with other words around it."""
    db.define("a")
    task = db.start(context={"n": 1}, idempotency_key="k")
    before = db.fingerprint()
    assert db.start(context={"n": 1}, idempotency_key="k", reason="again", priority=3) == task
    assert db.fingerprint() == before
    db.settle(task)
    assert db.start(context={"n": 1}, idempotency_key="k") == task


@pytest.mark.parametrize(
    "other", [{"context": {"n": 2}}, {"context": {"n": 1, "m": None}}, {"version": "2.0.0"}]
)
def test_the_same_key_with_other_content_is_refused(db: Session, other: dict[str, Any]):
    """TK002, and the detail says which task has the key."""
    for version in ("1.0.0", "2.0.0"):
        db.define("a", version=version)
    given: dict[str, Any] = {"context": {"n": 1}, "version": "1.0.0", "idempotency_key": "k"}
    task = db.start(**given)
    with db.refused("TK002", rf"k.*\b{task}\b"):
        db.start(**(given | other))


def test_a_key_without_a_version_matches_any(db: Session):
    """A new version must not run the same work twice."""
    db.define("a", version="1.0.0")
    task = db.start(idempotency_key="k")
    db.define("a", version="2.0.0")
    assert db.start(idempotency_key="k") == task


def test_a_key_is_unique_per_workflow(db: Session):
    """Name and namespace: another workflow may use it for itself."""
    db.define("a", "one")
    db.define("a", "two")
    db.define("a", "one", namespace="shop")
    tasks = {
        db.start("one", idempotency_key="k"),
        db.start("two", idempotency_key="k"),
        db.start("one", namespace="shop", idempotency_key="k"),
    }
    assert len(tasks) == 3


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_two_sessions_with_the_same_key(database: Database, end: str):
    """The second waits; it gets the first one's task, or its own if the first rolled back."""
    first, second = database.connect("first"), database.connect("second")
    first.define("a")
    first.begin()
    task = first.start(idempotency_key="k")
    waiting = second.later(second.start, idempotency_key="k").blocked_by(first)
    getattr(first, end)()
    assert (waiting.result() == task) == (end == "commit")
    assert database.main.one("select count(*) from tasks") == 1


def test_two_sessions_with_the_same_key_and_other_contexts(database: Database):
    """The one that waited is refused."""
    first, second = database.connect("first"), database.connect("second")
    first.define("a")
    first.begin()
    first.start(context={"n": 1}, idempotency_key="k")
    waiting = second.later(second.start, context={"n": 2}, idempotency_key="k").blocked_by(first)
    first.commit()
    with database.main.refused("TK002"):
        waiting.result()


# Bypassing


def test_a_bypassed_step_is_skipped_at_the_start(db: Session):
    """Its children do not wait for it, and get null for its results."""
    db.define("a->b b->c", steps={"b": {"skippable": True}})
    task = db.start(bypass_steps=["b"])
    assert db.steps_of(task) == {"a": "pending", "b": "skipped", "c": "pending"}
    results = {step.step_name: step.dependency_results for step in db.claim(10)}
    assert results == {"a": {}, "c": {"b": None}}


def test_a_task_whose_every_step_is_bypassed_is_complete(db: Session):
    """Nothing would ever come to finish it."""
    db.define("a->b", steps={"a": {"skippable": True}, "b": {"skippable": True}})
    task = db.task(db.start(bypass_steps=["a", "b"]))
    assert (task.state, task.complete, task.processed_steps) == ("complete", True, 2)
    assert task.finished_at == db.call("clock")


def test_a_bypass_is_in_the_log_with_who_asked_for_it(db: Session):
    """The initiator is the actor; without one it is the session's user."""
    db.define("a", steps={"a": {"skippable": True}})
    by_ann = db.start(initiator="ann", bypass_steps=["a"])
    by_user = db.start(bypass_steps=["a"])
    assert db.last_entry(by_ann, "step", "a").actor == "ann"
    assert db.last_entry(by_user, "step", "a").actor == db.one("select session_user")
    assert db.last_entry(by_user, "step", "a").reason


# A context that does not fit


def with_schema(db: Session, edges: str = "a->b", **more: Any) -> str:
    """A workflow that asks for an order_id, which is an integer."""
    schema = {"required": ["order_id"], "properties": {"order_id": {"type": "integer"}}}
    return db.define(edges, context_schema=schema, **more)


def test_a_task_whose_context_does_not_fit_fails_at_once(db: Session):
    """For good, before an attempt is spent on it, and naming the path."""
    with_schema(db, "a->c b->c")
    task = db.start()
    assert db.state_of(task) == "error"
    assert db.steps_of(task) == {"a": "error", "b": "error", "c": "pending"}
    step = db.step(task, "a")
    assert (step.attempts, step.due_at, step.started_at) == (0, None, None)
    assert step.error == {
        "type": "InvalidContext",
        "message": "the context does not fit: context.order_id is missing",
        "problems": [{"path": "context.order_id", "message": "is missing"}],
    }
    assert db.task(task).error == {"a": step.error, "b": step.error}
    assert db.claim(10) == []
    assert db.one("select count(*) from step_queue") == 0


def test_a_context_that_fits_starts(db: Session):
    """The log tells nothing of the check."""
    with_schema(db)
    task = db.start(context={"order_id": 7, "more": True})
    assert db.history(task) == []
    assert db.settle(task) == "complete"


def test_the_engine_says_that_a_context_does_not_fit(db: Session):
    """No person and no runner is its actor, whoever starts the task."""
    with_schema(db)
    task = db.start(initiator="ann")
    told = {(entry.entity, entry.to_state, entry.actor) for entry in db.history(task)}
    assert told == {("step", "error", "engine"), ("task", "error", "engine")}


def test_a_delayed_task_whose_context_does_not_fit_does_not_wait(db: Session):
    """Nothing would be better at its time."""
    with_schema(db)
    task = db.start(run_at=db.one("select clock() + interval '1 hour'"))
    assert db.state_of(task) == "error"
    db.move_clock(7200)
    db.call("maintain")
    assert db.claim(10) == []


@pytest.mark.parametrize(
    ("bypass", "states"),
    [
        (["a"], {"a": "skipped", "b": "error", "c": "pending"}),
        (["a", "b"], {"a": "skipped", "b": "skipped", "c": "error"}),
    ],
)
def test_what_fails_is_the_first_that_is_not_bypassed(
    db: Session, bypass: list[str], states: dict[str, str]
):
    """The steps that could run."""
    with_schema(db, "a->b->c", steps={"a": {"skippable": True}, "b": {"skippable": True}})
    task = db.start(bypass_steps=bypass)
    assert (db.state_of(task), db.steps_of(task)) == ("error", states)


def test_a_task_without_a_step_to_run_needs_no_context(db: Session):
    """All of it is bypassed: there is nothing that could fail."""
    with_schema(db, "a", steps={"a": {"skippable": True}})
    assert db.state_of(db.start(bypass_steps=["a"])) == "complete"


def test_a_key_is_kept_by_a_task_whose_context_did_not_fit(db: Session):
    """The same call again gives the same task and does not fail it again."""
    with_schema(db)
    task = db.start(idempotency_key="k")
    before = db.fingerprint()
    assert db.start(idempotency_key="k") == task
    assert db.fingerprint() == before


def test_a_task_that_exists_is_not_checked_again(db: Session):
    """By its key it is found as it is, whatever schema came later."""
    db.define("a->b")
    task = db.start(idempotency_key="k")
    with_schema(db)
    assert db.start(idempotency_key="k") == task
    assert db.settle(task) == "complete"
    assert db.state_of(db.start()) == "error"


def test_each_version_has_its_own_schema(db: Session):
    """A task is checked by the version that it runs."""
    db.define("a", version="1.0.0")
    with_schema(db, "a", version="2.0.0")
    assert db.state_of(db.start(version="1.0.0")) == "pending"
    assert db.state_of(db.start(version="2.0.0")) == "error"


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_failure_of_the_context_joins_the_callers_transaction(database: Database, end: str):
    """Nobody sees the task before the commit; others create and claim meanwhile."""
    db, other = database.main, database.connect()
    with_schema(db)
    db.begin()
    task = db.start()
    assert db.state_of(task) == "error"
    assert other.rows("select from tasks") == []
    later = other.start(context={"order_id": 1})
    assert other.claim_only("a").task_id == later
    getattr(db, end)()
    assert len(other.rows("select from tasks where task_id = %s", task)) == (end == "commit")
    other.assert_consistent()


def test_two_sessions_with_the_same_key_and_a_context_that_does_not_fit(database: Database):
    """The one that waited gets the task that failed."""
    first, second = database.connect("first"), database.connect("second")
    with_schema(first)
    first.begin()
    task = first.start(idempotency_key="k")
    waiting = second.later(second.start, idempotency_key="k").blocked_by(first)
    first.commit()
    assert waiting.result() == task
    assert first.one("select count(*) from workflow_step_transitions") == 1


# Refusals


@pytest.mark.parametrize("name", ["name", "context", "namespace", "tags", "bypass_steps"])
def test_null_is_refused_where_a_value_is_needed(db: Session, name: str):
    """What may be null has null for its default."""
    db.define("a")
    with db.refused("22023|22004", name):
        db.call("create_task", **({"name": "flow"} | {name: None}))


@pytest.mark.parametrize(
    "asked",
    [
        {"name": "flux"},
        {"name": "Flow"},
        {"name": ""},
        {"name": "flow", "namespace": "shop"},
        {"name": "flow", "version": "9.9.9"},
        {"name": "flow", "version": "1"},
    ],
)
def test_an_unknown_workflow_is_refused(db: Session, asked: dict[str, str]):
    """TK003; the detail says what is known."""
    db.define("a", version="1.0.0")
    with db.refused("TK003", r"unknown workflow.*default/flow 1\.0\.0"):
        db.call("create_task", **asked)


def test_nothing_is_registered(db: Session):
    """The detail says so."""
    with db.refused("TK003", "No workflow"):
        db.start("flow")


@pytest.mark.parametrize("context", [[], [1], "text", 7, True, None])
def test_a_context_that_is_no_object_is_refused(db: Session, context: Any):
    """The error says what it is instead."""
    db.define("a")
    kinds = {list: "array", str: "string", int: "number", bool: "boolean", type(None): "null"}
    with db.refused("22023", f"context.*object.*{kinds[type(context)]}"):
        db.call("create_task", name="flow", context=db.json(context))


def test_a_context_above_the_payload_limit_is_refused(db: Session):
    """1 MiB unless set; the error names size and limit."""
    db.define("a")
    assert db.start(context={"x": "y" * 1_000_000})
    with db.refused("54000", r"context.*1048576"):
        db.start(context={"x": "y" * 1_048_576})
    db.call("set_setting", name="payload_limit", value="100")
    with db.refused("54000", r"context.*\b100\b"):
        db.start(context={"x": "y" * 100})


@pytest.mark.parametrize("key", ["", "k" * 501])
def test_an_idempotency_key_is_one_to_500_characters(db: Session, key: str):
    """Longer ones do not fit an index, and an empty one is a mistake."""
    db.define("a")
    assert db.start(idempotency_key="k" * 500)
    with db.refused("22023", "idempotency key"):
        db.start(idempotency_key=key)


@pytest.mark.parametrize(
    ("bypass", "sqlstate", "match"),
    [
        (["z"], "TK003", "z"),
        (["a", None], "TK003", "null"),
        (["b"], "22023", "b is not skippable"),
        (["a", "b"], "22023", "b is not skippable"),
    ],
)
def test_only_a_skippable_step_can_be_bypassed(
    db: Session, bypass: list[str | None], sqlstate: str, match: str
):
    """An unknown name is TK003."""
    db.define("a->b", steps={"a": {"skippable": True}})
    with db.refused(sqlstate, match):
        db.start(bypass_steps=bypass)


def test_a_null_tag_is_refused(db: Session):
    """Nobody could find a task by it."""
    db.define("a")
    with db.refused("22023|22004", "tags"):
        db.start(tags=["x", None])


def test_an_older_revision_of_a_workflow_starts_no_task(db: Session):
    """Steps that the current content does not have cannot be bypassed either."""
    db.call("register_workflow", definition=workflow("a->b", steps={"b": {"skippable": True}}))
    db.call("register_workflow", definition=workflow("a->c"))
    assert set(db.steps_of(db.start())) == {"a", "c"}
    with db.refused("TK003", "b"):
        db.start(bypass_steps=["b"])
