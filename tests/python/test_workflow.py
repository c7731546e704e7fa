"""Declaring workflows: what a decorated function becomes, and which mistakes are seen at once."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

import pytest

from pgtasker import Workflow, WorkflowError
from pgtasker.workflow import identity


def test_only_a_name_is_required():
    """A workflow of one bare step leaves everything else to the defaults of the database."""
    workflow = Workflow("hello")

    @workflow.step
    def greet() -> str:
        return "hello"

    assert workflow.definition() == {
        "namespace": "default",
        "name": "hello",
        "version": "0.1.0",
        "steps": [{"name": "greet"}],
    }


def test_parameters_are_dependencies():
    """A parameter with a step's name depends on it; `context` and `step` are no dependencies."""
    workflow = Workflow("shop")

    @workflow.step
    def validate(context: Any) -> None: ...

    @workflow.step
    def charge(validate: Any, step: Any) -> None: ...

    @workflow.step
    async def ship(context: Any, charge: Any, *, validate: Any) -> None: ...

    assert workflow.steps["validate"].depends_on == ()
    assert workflow.steps["charge"].depends_on == ("validate",)
    assert workflow.steps["ship"].depends_on == ("charge", "validate")
    assert workflow.steps["ship"].parameters == ("context", "charge", "validate")


def test_after_orders_without_passing_results():
    """`after` takes names and functions, and a parent that is also a parameter counts once."""
    workflow = Workflow("shop")

    @workflow.step
    def first() -> None: ...

    @workflow.step
    def second() -> None: ...

    @workflow.step(after=["second", first])
    def third(first: Any) -> None: ...

    assert workflow.steps["third"].depends_on == ("first", "second")
    assert workflow.steps["third"].parameters == ("first",)


def test_options_are_those_of_the_document():
    """Every option of a step stands in the document as it was given, and nothing else does."""
    workflow = Workflow("shop", namespace="sales", version="2.0.0", description="Sell things.")

    @workflow.step(
        handler="payments.charge",
        queue="payments",
        priority=10,
        retryable=True,
        retry_limit=5,
        timeout=30,
        backoff={"base": 1, "jitter": False},
        skippable=True,
        inputs={"currency": "EUR"},
    )
    def charge() -> None: ...

    assert workflow.definition() == {
        "namespace": "sales",
        "name": "shop",
        "version": "2.0.0",
        "description": "Sell things.",
        "steps": [
            {
                "name": "charge",
                "handler": "payments.charge",
                "queue": "payments",
                "priority": 10,
                "retryable": True,
                "retry_limit": 5,
                "timeout": 30,
                "backoff": {"base": 1, "jitter": False},
                "skippable": True,
                "inputs": {"currency": "EUR"},
            }
        ],
    }


def test_a_function_stays_what_it_is():
    """The decorator gives the function back, so that a test calls it like any other."""
    workflow = Workflow("sum")

    @workflow.step
    def one() -> int:
        return 1

    @workflow.step(retry_limit=1)
    def two(one: int) -> int:
        return one + 1

    assert two(one()) == 2


def test_a_function_can_serve_several_steps():
    """`name` names a step apart from its function, so that steps can be declared in a loop."""
    workflow = Workflow("count")

    def count(step: Any) -> None: ...

    for kind in ("py", "sql"):
        workflow.step(name=f"count_{kind}", inputs={"kind": kind})(count)

    assert list(workflow.steps) == ["count_py", "count_sql"]


def test_a_misspelt_parameter_is_pointed_at():
    """The error names step, workflow, file and line, and the name that was probably meant."""
    workflow = Workflow("shop")

    @workflow.step
    def validate() -> None: ...

    def charge(validat: Any) -> None: ...

    line = charge.__code__.co_firstlineno
    with pytest.raises(WorkflowError) as caught:
        workflow.step(charge)
    assert str(caught.value) == (
        f"step 'charge' of workflow 'shop' ({__file__}:{line}) has a parameter 'validat', "
        "which is no step declared before it; did you mean 'validate'?"
    )


def test_parents_come_first():
    """A step cannot depend on one that is declared later, so no cycle can be written down."""
    workflow = Workflow("shop")
    with pytest.raises(WorkflowError, match="no step declared before it; steps declared so far: n"):

        @workflow.step
        def ship(charge: Any) -> None: ...

    with pytest.raises(WorkflowError, match="is to come after 'loop', which is no step"):

        @workflow.step(after=["loop"])
        def loop() -> None: ...


def test_names_are_taken_once():
    """A second step of the same name is refused, with the place of the first."""
    workflow = Workflow("shop")

    @workflow.step
    def validate() -> None: ...

    first = validate.__code__.co_firstlineno
    with pytest.raises(WorkflowError, match=rf"taken by the step at .*test_workflow\.py:{first}"):
        workflow.step(name="validate")(lambda: None)


@pytest.mark.parametrize("name", ["context", "step", "2fast", "a-b", "<lambda>", "é"])
def test_reserved_and_illegal_names_are_refused(name: str):
    """A step's name is a plain identifier, and neither `context` nor `step`."""
    with pytest.raises(WorkflowError, match="cannot bear this name"):
        Workflow("shop").step(name=name)(lambda: None)


def test_every_dependency_has_a_parameter_of_its_own():
    """Variable parameters say nothing about dependencies, so they are refused."""

    def greedy(*args: Any) -> None: ...

    def vague(**kwargs: Any) -> None: ...

    def positional(context: Any, /) -> None: ...

    for function, shown in ((greedy, r"\*args"), (vague, r"\*\*kwargs"), (positional, "context")):
        with pytest.raises(WorkflowError, match=shown):
            Workflow("shop").step(function)


def test_an_unknown_option_is_refused():
    """A misspelt option is an error of the call, not of the database."""
    with pytest.raises(TypeError, match="no option 'retries': there are"):
        Workflow("shop").step(retries=3)  # type: ignore[call-overload]


def test_coroutine_functions_are_told_from_plain_ones():
    """Async functions, also bound and partial ones and callable objects, run on the loop."""
    workflow = Workflow("shop")

    class Caller:
        async def __call__(self) -> None: ...

    async def fetch(context: Any) -> None: ...

    def plain() -> None: ...

    workflow.step(name="a")(Caller())
    workflow.step(name="b")(functools.partial(fetch))
    workflow.step(fetch)
    workflow.step(plain)
    assert [step.is_async for step in workflow.steps.values()] == [True, True, True, False]


def test_a_workflow_can_be_meant_in_three_ways():
    """By itself, with its version; by NAMESPACE/NAME; by a name in the default namespace."""
    workflow = Workflow("fulfil", namespace="shop", version="1.2.0")
    assert identity(workflow) == {"namespace": "shop", "name": "fulfil", "version": "1.2.0"}
    assert identity("shop/fulfil") == {"namespace": "shop", "name": "fulfil", "version": None}
    assert identity("fulfil", version="2.0.0") == {
        "namespace": None,
        "name": "fulfil",
        "version": "2.0.0",
    }


# Where steps run.


def at_top_level() -> None: ...


def test_a_step_says_where_it_runs_and_how_often_at_once():
    """For the runner alone: the database is not told."""
    workflow = Workflow("shop")

    @workflow.step
    def plain() -> None: ...

    @workflow.step(executor="async", concurrency=3)
    async def fetch() -> None: ...

    workflow.step(executor="process", retry_limit=1)(at_top_level)
    assert {name: (step.executor, step.concurrency) for name, step in workflow.steps.items()} == {
        "plain": ("thread", None),
        "fetch": ("async", 3),
        "at_top_level": ("process", None),
    }
    assert workflow.definition()["steps"] == [
        {"name": "plain"},
        {"name": "fetch"},
        {"name": "at_top_level", "retry_limit": 1},
    ]


async def coroutine() -> None: ...


@pytest.mark.parametrize(
    ("function", "options", "said"),
    [
        (at_top_level, {"executor": "async"}, "'async', but is no coroutine function"),
        (coroutine, {"executor": "thread"}, "'thread', but is a coroutine function"),
        (coroutine, {"executor": "process"}, "'process', but is a coroutine function"),
        (lambda: None, {"executor": "process"}, "cannot be imported there: give a function"),
        (functools.partial(at_top_level), {"executor": "process"}, "cannot be imported there"),
        (at_top_level, {"executor": "fork"}, "'fork': there are async, thread, process"),
        (at_top_level, {"concurrency": 0}, "concurrency 0: give a whole number from 1 on"),
        (at_top_level, {"concurrency": True}, "concurrency True: give a whole number"),
        (at_top_level, {"concurrency": 1.5}, "concurrency 1.5: give a whole number"),
        (at_top_level, {"inputs": {"a": {1}}}, "wrong kind: .* set is not JSON serializable"),
        (at_top_level, {"timeout": float("inf")}, "wrong kind: .* not JSON compliant"),
        (at_top_level, {"timeout": timedelta(1)}, "wrong kind: .* timedelta"),
    ],
)
def test_what_the_database_cannot_check_is_checked_here(
    function: Any, options: dict[str, Any], said: str
):
    """At the decorator, pointing at the function; the rest is left to the database."""
    with pytest.raises(WorkflowError, match=rf"^step 'work' of workflow 'shop' \(.*\).*{said}"):
        Workflow("shop").step(name="work", **options)(function)


def test_other_options_are_left_to_the_database():
    """Numbers that make no sense can at least be written down."""
    workflow = Workflow("shop")
    workflow.step(retry_limit="3", timeout=-1)(at_top_level)  # type: ignore[call-overload]
    assert workflow.definition()["steps"][0]["retry_limit"] == "3"
