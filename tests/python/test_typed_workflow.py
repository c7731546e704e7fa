"""Workflows whose functions say what they take and give: what is stored, checked and passed on."""

from __future__ import annotations

import functools
import pickle
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from pgtasker import InvalidContext, Problem, Workflow, WorkflowError


@dataclass
class Order:
    order_id: int
    tags: set[str] = field(default_factory=set)
    at: datetime = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass
class Other:
    order_id: int


def test_the_type_of_the_context_is_that_of_the_steps():
    """Its schema is part of the definition, beside steps that do not care."""
    workflow = Workflow("shop")

    @workflow.step
    def look(context: Any) -> None: ...

    @workflow.step
    def validate(context: Order) -> None: ...

    @workflow.step
    def charge(context: Order, validate: Any) -> None: ...

    assert workflow.definition()["context_schema"]["required"] == ["order_id"]
    assert workflow.check_context({"order_id": 7}) == {
        "order_id": 7,
        "tags": [],
        "at": "2030-01-01T00:00:00Z",
    }


def test_a_context_may_be_an_instance_or_absent():
    """An instance is written as JSON; nothing at all is an empty object, as in the database."""
    workflow = Workflow("shop", context=Order)
    context = workflow.check_context(Order(1, {"b", "a"}))
    assert (context["order_id"], context["tags"]) == (1, ["a", "b"])
    with pytest.raises(InvalidContext, match=r"fit: context\.order_id is missing$") as caught:
        workflow.check_context(None)
    assert caught.value.problems == (Problem("context.order_id", "is missing"),)


def test_without_a_type_a_context_is_left_alone():
    """Whatever it is, the database will say."""
    context = object()
    assert Workflow("shop").check_context(context) is context
    assert "context_schema" not in Workflow("shop").definition()


def test_steps_that_take_different_contexts_are_pointed_at():
    """The error names the second function and says how to decide; then nobody is asked."""
    workflow = Workflow("shop")

    @workflow.step
    def validate(context: Order) -> None: ...

    def charge(context: Other) -> None: ...

    first, second = (each.__code__.co_firstlineno for each in (validate, charge))
    with pytest.raises(WorkflowError) as caught:
        workflow.step(charge)
    assert str(caught.value) == (
        f"step 'charge' of workflow 'shop' ({__file__}:{second}) takes the context as another type "
        f"than the step at {__file__}:{first}: say which it is with Workflow(context=...)"
    )
    decided = Workflow("shop", context=Order)
    decided.step(validate)
    decided.step(charge)
    assert "tags" in decided.definition()["context_schema"]["properties"]


def test_a_context_of_no_such_type_is_refused():
    """Only what says which members there are can be the type of a context."""
    with pytest.raises(WorkflowError, match=r"context of type <class 'dict'>: give a dataclass"):
        Workflow("shop", context=dict)


def test_a_schema_can_be_given_instead():
    """It is stored as it is; the type still decides in Python."""
    schema = {"type": "object", "required": ["order_id", "tags"]}
    workflow = Workflow("shop", context=Order, context_schema=schema)
    assert workflow.definition()["context_schema"] == schema
    assert workflow.check_context({"order_id": 1})["tags"] == []


def test_types_are_found_however_they_are_named():
    """Beside the function, after it, in text, below wrappers; a name that nobody has is no type."""
    workflow = Workflow("shop")

    @dataclass
    class Inner:
        n: int

    @dataclass
    class Local:
        inner: list[Inner]

    def passed_on(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*arguments: Any, **named: Any) -> Any:
            return function(*arguments, **named)

        return wrapper

    @workflow.step
    def local(context: Local) -> NoSuchName: ...  # type: ignore[name-defined]  # noqa: F821

    @workflow.step
    @passed_on
    def later(local: Later) -> list[Local]: ...

    @workflow.step
    def unknown(local: NoSuchName, later: Later | None) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    workflow.step(name="partial")(functools.partial(Caller()))
    workflow.step(name="method")(Caller().method)
    found = {name: step.signature for name, step in workflow.steps.items()}
    assert found["local"].parameters["context"].load({"inner": [{"n": 1}]}, "x").inner == [Inner(1)]
    assert found["local"].result is None
    assert found["later"].parameters["local"].load({"a": 1}, "x") == Later(1)
    assert found["later"].result is not None
    assert found["unknown"].parameters.keys() == {"later"}
    assert found["partial"].parameters.keys() == {"later"}
    assert found["method"].parameters.keys() == {"later"}


class Caller:
    def __call__(self, later: Later) -> Any: ...

    def method(self, later: Later) -> Any: ...


@dataclass
class Later:
    a: int


def test_a_type_that_cannot_be_read_is_pointed_at():
    """With the step, the parameter and the field, when the workflow is loaded."""

    @dataclass
    class Strange:
        z: complex

    workflow = Workflow("shop")

    @workflow.step
    def validate(context: Strange) -> Strange: ...

    with pytest.raises(WorkflowError, match=r"'shop' has a context .*Strange\.z: no JSON"):
        workflow.definition()
    where = rf"step 'validate' of workflow 'shop' \({__file__}:\d+\)"
    with pytest.raises(WorkflowError, match=rf"^{where} has a parameter 'context' .*Strange\.z"):
        _ = workflow.steps["validate"].signature.parameters
    with pytest.raises(WorkflowError, match=rf"^{where} has a result .*Strange\.z"):
        _ = workflow.steps["validate"].signature.result


def test_a_typed_function_stays_what_it_is():
    """Called as a plain function it receives and returns what it is given, unread."""
    workflow = Workflow("sum")

    @workflow.step
    def count(context: Order) -> Later:
        return Later(context.order_id)

    @workflow.step
    def double(count: Later) -> int:
        return count.a * 2

    assert double(count(Order(4))) == 8
    given = object()
    assert count(type("Any", (), {"order_id": given})()).a is given


def test_a_step_can_go_to_another_process():
    """With the types of what it receives and returns, which are read again there."""
    workflow = Workflow("shop")
    workflow.step(executor="process")(typed_at_top_level)
    step = workflow.steps["typed_at_top_level"]
    assert step.signature.result is not None
    copy = pickle.loads(pickle.dumps(step))
    assert copy == step
    assert copy.dumped(Order(1, {"a"}))["tags"] == ["a"]


def typed_at_top_level(context: Order) -> Order: ...
