"""Steps whose functions are typed: what they receive, what becomes of what they return."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict

import pydantic
import pytest
from structlog.testing import capture_logs

from pgtasker import InvalidContext, InvalidPayload, PayloadError, Workflow, payload
from pgtasker.errors import Problem
from pgtasker.runner.handlers import Handlers, arguments
from pgtasker.runner.outcomes import MOST_PROBLEMS, failed

from ..support.databases import Database
from ..support.session import Session
from .claims import claim
from .field import Field


@dataclass
class Order:
    order_id: int
    tags: set[str] = field(default_factory=set)


@dataclass
class Receipt:
    total: float
    lines: list[str] = field(default_factory=list)


class Parcel(pydantic.BaseModel):
    order_id: int = pydantic.Field(alias="orderId")
    receipt: Receipt


class Label(TypedDict):
    text: str


def typed_workflow() -> Workflow:
    """charge -> pack -> label, and `raw` that takes things as they are."""
    workflow = Workflow("typed")

    @workflow.step
    def charge(context: Order) -> Receipt:
        return Receipt(9.5, sorted(context.tags))

    @workflow.step
    async def pack(context: Order, charge: Receipt, step: Any) -> Parcel:
        return Parcel(orderId=context.order_id, receipt=charge)

    @workflow.step
    def label(pack: Parcel) -> Label:
        return {"text": f"{pack.order_id}: {pack.receipt.total}"}

    @workflow.step
    def raw(context, charge, pack):  # type: ignore[no-untyped-def]
        return {"given": [context, charge, pack], "made": [Receipt(1), Parcel(**pack)]}

    return workflow


@pytest.fixture(autouse=True)
def logged() -> Iterator[None]:
    """Nothing is printed."""
    with capture_logs():
        yield


STEPS = typed_workflow().steps
GIVEN = claim(
    context={"order_id": 1, "tags": ["a"]}, dependency_results={"charge": {"total": 2, "lines": []}}
)


def test_a_function_receives_instances_of_the_types_it_asks_for():
    """The context and the results of parents; the running step is passed on as it is."""
    assert arguments(STEPS["pack"], GIVEN, "running") == {
        "context": Order(1, {"a"}),
        "charge": Receipt(2.0),
        "step": "running",
    }
    assert arguments(STEPS["charge"], GIVEN, None) == {"context": Order(1, {"a"})}


def test_a_function_without_types_receives_json():
    """The very objects that came, unread."""
    given = claim(context=GIVEN.context, dependency_results={"charge": object(), "pack": object()})
    received = arguments(STEPS["raw"], given, None)
    assert received["context"] is given.context
    assert received["charge"] is given.dependency_results["charge"]


def test_all_that_does_not_fit_is_said_at_once():
    """Of the context, of a result, or of both."""
    fits, wrong = GIVEN.dependency_results, {"charge": {"lines": [1]}}
    with pytest.raises(InvalidContext, match=r"^the context does not fit: context\.order_id is"):
        arguments(STEPS["pack"], claim(context={}, dependency_results=fits), None)
    with pytest.raises(InvalidPayload, match=r"^the result of charge does not fit: charge\.total"):
        arguments(STEPS["pack"], claim(context=GIVEN.context, dependency_results=wrong), None)
    with pytest.raises(InvalidPayload, match=r"^what it receives does not fit: ") as caught:
        arguments(STEPS["pack"], claim(context={}, dependency_results=wrong), None)
    assert [problem.path for problem in caught.value.problems] == [
        "context.order_id",
        "charge.total",
        "charge.lines[0]",
    ]


def test_a_result_is_written_by_its_type():
    """An instance, or JSON that fits; whatever else is refused with its paths."""
    assert STEPS["charge"].dumped(Receipt(1)) == {"total": 1.0, "lines": []}
    assert STEPS["charge"].dumped({"total": 1})["lines"] == []
    parcel = Parcel(orderId=1, receipt=Receipt(2))
    assert STEPS["pack"].dumped(parcel) == {"orderId": 1, "receipt": {"total": 2.0, "lines": []}}
    with pytest.raises(
        InvalidPayload, match=r"^the result of charge does not fit: charge must be object, not nul"
    ):
        STEPS["charge"].dumped(None)
    with pytest.raises(InvalidPayload, match=r"label\.text must be string, not integer"):
        STEPS["label"].dumped({"text": 5})


def test_a_result_without_a_type_is_left_alone():
    """Plain JSON is not looked at; instances in it are written when it is sent."""
    result = [{"a": 1}]
    assert STEPS["raw"].dumped(result) is result
    text = payload.dump({"all": [Receipt(1.5), Parcel(orderId=1, receipt=Receipt(2))]})
    assert json.loads(text) == {
        "all": [
            {"total": 1.5, "lines": []},
            {"orderId": 1, "receipt": {"total": 2.0, "lines": []}},
        ]
    }
    with pytest.raises(PayloadError, match=r"^the result cannot be stored as json: "):
        payload.dump([Receipt(float("nan"))], "the result")
    with pytest.raises(PayloadError, match="Object of type set is not JSON serializable"):
        payload.dump({1})
    with pytest.raises(PayloadError, match="Object of type type is not JSON serializable"):
        payload.dump(Receipt)


def test_a_failure_lists_the_problems():
    """With path and message each, so that a program can read them; not more than are of use."""
    problems = [Problem(f"context.n[{n}]", "is\0 missing") for n in range(MOST_PROBLEMS + 1)]
    outcome = failed(InvalidContext("the context", problems), retryable=False)
    error = json.loads(outcome.members["error"])
    assert error["type"] == "InvalidContext"
    assert error["problems"][0] == {
        "path": "context.n[0]",
        "message": "is\N{REPLACEMENT CHARACTER} missing",
    }
    assert len(error["problems"]) == MOST_PROBLEMS
    assert "traceback" not in error


def test_a_step_of_its_own_workflow_goes_before_another_of_the_same_handler():
    """Two steps may share a function and yet run in different places."""
    workflow = Workflow("flow")
    for name in ("first", "second"):
        workflow.step(name=name, handler="works.work")(lambda: None)
    handlers = Handlers([workflow])
    found = handlers.find(claim(step_name="first", handler="works.work"))
    assert found is workflow.steps["first"]


@pytest.mark.newest_only
def test_types_hold_from_the_client_to_the_last_step(database: Database):
    """Through the database and back, in sync and async handlers; a wrong result ends its step."""
    workflow, scene = typed_workflow(), Field(database)

    @workflow.step
    def wrong(charge: Receipt) -> list[Receipt]:
        return [charge, Receipt("much")]  # type: ignore[arg-type]

    async def scenario() -> None:
        async with scene.running(workflow):
            task = await scene.run(workflow, Order(7, {"b", "a"}))
        assert task.context == {"order_id": 7, "tags": ["a", "b"]}
        receipt = {"total": 9.5, "lines": ["a", "b"]}
        parcel = {"orderId": 7, "receipt": receipt}
        assert task.results["label"] == {"text": "7: 9.5"}
        assert task.results["raw"] == {
            "given": [task.context, receipt, parcel],
            "made": [{"total": 1, "lines": []}, parcel],
        }
        assert task.error["wrong"] == {
            "type": "InvalidPayload",
            "message": "the result of wrong does not fit: "
            "wrong[1].total must be number, not string",
            "problems": [{"path": "wrong[1].total", "message": "must be number, not string"}],
        }
        steps = {step.name: step for step in await scene.client.get_task_steps(task.task_id)}
        assert steps["wrong"].attempts == 1
        with pytest.raises(InvalidContext):
            await scene.client.start(workflow, {})

    scene.play(scenario)


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    name: str


class Zoo(pydantic.BaseModel):
    """What pydantic's schemas are made of."""

    price: Decimal
    opened: date
    page: pydantic.HttpUrl
    pets: list[Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]]
    code: Annotated[str, pydantic.StringConstraints(pattern=r"^\w+-\d{2,3}$")]
    size: pydantic.PositiveInt
    names: Annotated[dict[str, str], pydantic.Field(min_length=1)]
    annex: Zoo | None = None
    anything: Any = None


GOOD_ZOO = {
    "price": "1.50",
    "opened": "2030-01-31",
    "page": "http://zoo.example/",
    "pets": [{"kind": "cat"}, {"kind": "dog", "name": "Rex"}],
    "code": "ab-12",
    "size": 1,
    "names": {"en": "Zoo"},
}
ORDER = {"order_id": 1, "tags": []}


@pytest.mark.newest_only
@pytest.mark.parametrize(
    ("type_", "good", "changes"),
    [
        (Order, ORDER, [{"order_id": "1"}, {"tags": [1]}, {"tags": None}]),
        (
            Zoo,
            GOOD_ZOO,
            [
                {"price": []},
                {"pets": [{"kind": "dog"}]},
                {"pets": [{"kind": "cow"}]},
                {"code": "?"},
                {"size": 0},
                {"names": {}},
                {"annex": {**GOOD_ZOO, "size": None}},
            ],
        ),
    ],
)
def test_the_database_refuses_what_the_type_refuses(
    db: Session, type_: Any, good: dict[str, Any], changes: list[dict[str, Any]]
):
    """A task created in SQL is checked by the schema that its workflow's type left there."""
    workflow = Workflow("typed", context=type_)
    workflow.step(name="work")(lambda: None)
    db.call("register_workflow", definition=db.json(workflow.definition()))
    written = workflow.check_context(good)
    for context in (good, written):
        assert db.state_of(db.start("typed", context)) == "pending"
    for change in changes:
        wrong = {**good, **change}
        with pytest.raises(InvalidContext):
            workflow.check_context(wrong)
        task_id = db.start("typed", wrong)
        assert db.state_of(task_id) == "error"
        assert db.step(task_id, "work").error["type"] == "InvalidContext"
