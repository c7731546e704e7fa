"""Types of values: which annotations count, what is read as what, and what is said of the rest."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Required,
    TypedDict,
    TypeVar,
)
from uuid import UUID

import annotated_types
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgtasker import InvalidContext, InvalidPayload, PayloadError
from pgtasker.typed import Typed, typed
from pgtasker.typed.annotations import local_types

T = TypeVar("T")


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Customer:
    email: str
    age: int | None = None


@dataclass
class Order:
    order_id: int
    prices: list[float]
    customer: Customer
    color: Color = Color.RED
    notes: dict[str, list[Customer]] = field(default_factory=dict)


class CustomerDict(TypedDict):
    email: str
    age: NotRequired[int | None]


class OrderDict(TypedDict, total=False):
    order_id: Required[int]
    prices: Required[list[float]]
    customer: Required[CustomerDict]
    color: Color
    notes: dict[str, list[CustomerDict]]


class CustomerModel(pydantic.BaseModel):
    email: str
    age: int | None = None


class OrderModel(pydantic.BaseModel):
    order_id: int
    prices: list[float]
    customer: CustomerModel
    color: Color = Color.RED
    notes: dict[str, list[CustomerModel]] = {}


@dataclass(frozen=True)
class Everything:
    """Types that JSON does not have."""

    at: datetime
    day: date
    pause: timedelta
    price: Decimal
    key: UUID
    color: Color
    data: bytes
    where: Path
    tags: frozenset[str]
    numbers: set[int]
    pair: tuple[int, str]
    counts: dict[int, Decimal]
    kind: Literal["a", 1]
    anything: Any
    perhaps: Decimal | None = None
    inner: tuple[Everything, ...] = ()


def reader(annotation: Any) -> Typed:
    """How values of the type are read."""
    found = typed(annotation, local_types(reader) or None)
    assert found is not None
    return found


def problems(annotation: Any, value: Any, what: str = "context") -> list[str]:
    """What is said of a value that does not fit, a line for each place."""
    with pytest.raises(InvalidPayload) as caught:
        reader(annotation).load(value, what)
    assert all(problem.path in str(caught.value) for problem in caught.value.problems)
    assert "\n" not in str(caught.value)
    return [str(problem) for problem in caught.value.problems]


def through_json(annotation: Any, value: Any) -> Any:
    """The value after a way through the database."""
    written = reader(annotation).dump(value, "context")
    return reader(annotation).load(json.loads(json.dumps(written)), "context")


def test_only_structures_ask_to_be_read():
    """Any other annotation is a remark for people."""
    for remark in (None, Any, int, str | None, list[int], dict[str, Any], "Order", Literal[1]):
        assert typed(remark) is None
    for asked in (Order, OrderDict, OrderModel):
        for annotation in (asked, asked | None, list[asked], dict[str, asked], asked | int):
            assert typed(annotation) is not None


@pytest.mark.parametrize("type_", [Order, OrderDict, OrderModel])
def test_every_problem_is_named_by_its_path(type_: Any):
    """Whichever library reads the type, paths and words are the same."""
    wrong = {
        "prices": [1, "two", None],
        "customer": {"age": 3},
        "notes": {"first": [{"email": "a"}, {}, []]},
    }
    assert problems(type_, wrong) == [
        "context.order_id is missing",
        "context.prices[1] must be number, not string",
        "context.prices[2] must be number, not null",
        "context.customer.email is missing",
        "context.notes.first[1].email is missing",
        "context.notes.first[2] must be object, not array",
    ]
    assert problems(type_, [], "charge") == ["charge must be object, not array"]
    assert problems(list[type_], {}) == ["context must be array, not object"]


def test_the_error_says_what_it_is_about():
    """A context is told from a result, in the text and by the class."""
    with pytest.raises(
        InvalidContext, match=r"^the context does not fit: context\.email is missing$"
    ):
        reader(Customer).load({}, "context")
    with pytest.raises(
        InvalidPayload, match=r"^the result of charge does not fit: charge\.email is missing$"
    ) as caught:
        reader(Customer).load({}, "charge")
    assert type(caught.value) is InvalidPayload


@pytest.mark.parametrize("type_", [Order, OrderModel])
def test_json_becomes_instances_with_their_defaults(type_: Any):
    """Down to the innermost."""
    value = {
        "order_id": 1,
        "prices": [1, 2.5],
        "customer": {"email": "a"},
        "notes": {"x": [{"email": "b", "age": 3}]},
    }
    order = reader(type_).load(value, "context")
    assert isinstance(order, type_)
    assert (order.color, order.prices, order.customer.age) == (Color.RED, [1.0, 2.5], None)
    assert (order.notes["x"][0].email, order.notes["x"][0].age) == ("b", 3)


def test_a_typed_dict_stays_a_dict():
    """With the values of its fields read, and with members that it does not know."""
    value = {"order_id": 1, "prices": [], "customer": {"email": "a"}, "color": "blue", "more": [1]}
    assert reader(OrderDict).load(value, "context") == {**value, "color": Color.BLUE}
    assert reader(OrderDict).dump(value, "context") == value


@given(
    st.builds(
        Everything,
        at=st.datetimes(timezones=st.just(UTC)),
        pause=st.timedeltas(timedelta(days=-999), timedelta(days=999)),
        price=st.decimals(allow_nan=False, allow_infinity=False),
        where=st.just(Path("a/b")),
        counts=st.dictionaries(st.integers(), st.just(Decimal("1.10"))),
        anything=st.none() | st.integers() | st.lists(st.text()),
        perhaps=st.none() | st.just(Decimal("2.50")),
        inner=st.just(()),
    )
)
def test_what_json_does_not_have_comes_back(value: Everything):
    """Times, decimals, sets, enums and their like survive the way through the database."""
    assert through_json(Everything, value) == value


def test_types_may_be_nested_in_themselves():
    """A tree of any depth is read to its leaves."""
    text = '{"at": "2030-01-01T00:00:00Z"}'
    leaf = json.loads(text)
    found = problems(Everything, {"inner": [leaf, {"inner": [leaf]}]})
    assert "context.inner[1].inner[0].day is missing" in found


class Point(NamedTuple):
    x: int
    y: int


class Struct(msgspec.Struct):
    x: int


Count = NewType("Count", int)


def test_a_value_without_a_bottom_is_refused():
    """In words, and not by a stack that is full."""
    deep: dict[str, Any] = {}
    for _ in range(3000):
        deep = {"inner": [deep]}
    assert problems(Everything, deep) == ["context is nested too deep"]


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        (datetime, "soon", "is no valid RFC3339 encoded datetime"),
        (datetime, 5, "must be string, not integer"),
        (UUID, "5", "is no valid UUID"),
        (Decimal, "x", "is no valid decimal string"),
        (Decimal, [], "must be string or number, not array"),
        (Color, "green", 'must be one of "blue", "red", not "green"'),
        (Color, 1, 'must be one of "blue", "red", not 1'),
        (Literal["a", 1], "b", 'must be one of 1, "a", not "b"'),
        (int, 1.5, "must be integer, not number"),
        (int, True, "must be integer, not boolean"),
        (int | str, None, "must be integer or string, not null"),
        (int | datetime | None, "x", "is no valid RFC3339 encoded datetime"),
        (bytes, "?", "is no valid base64 encoded string"),
        (Annotated[int, msgspec.Meta(ge=5)], 4, "must be integer >= 5"),
        (Annotated[str, msgspec.Meta(min_length=2)], "a", "must be string of length >= 2"),
        (list[int], {}, "must be array, not object"),
        (dict[str, int], [], "must be object, not array"),
        (tuple[int, Customer], [1], "must have 2 elements"),
        (tuple[int, Customer], {}, "must be array, not object"),
        (Point, [1], "must be array of length 2, not 1"),
        (Struct, {}, "is refused: Object missing required field x"),
        (Count, "1", "must be integer, not string"),
    ],
)
def test_what_is_wrong_is_said_in_words_of_json(annotation: Any, value: Any, said: str):
    """As a sentence that goes on from the path."""
    holder = dataclass(type("Holder", (), {"__annotations__": {"it": annotation}}))
    assert problems(holder, {"it": value}) == [f"context.it {said}"]


def test_problems_within_containers_are_found_too():
    """Also in those that msgspec reads by itself, or does not know as a whole."""
    holder = dataclass(
        type("Holder", (), {"__annotations__": {"it": list[str | datetime], "at": Point}})
    )
    assert problems(holder, {"it": ["a", 1], "at": [1, "2"]}) == [
        "context.it[1] must be string, not integer",
        "context.at[1] must be integer, not string",
    ]


def test_keys_are_read_too():
    """A key that is none of its kind is a problem at its place, also among others."""
    holder = dataclass(type("Holder", (), {"__annotations__": {"it": dict[int, Customer]}}))
    assert reader(holder).load({"it": {"7": {"email": "a"}}}, "context").it == {7: Customer("a")}
    assert problems(holder, {"it": {"x y": {"email": "a"}, "8": {}}}) == [
        'context.it["x y"] bears a name that is no key of this kind',
        'context.it["8"].email is missing',
    ]


@dataclass
class Card:
    number: str
    holder: str | None = None


@dataclass
class Transfer:
    iban: str
    holder: str | None = None


@dataclass
class Both:
    number: str
    iban: str


def test_of_several_objects_the_one_that_knows_the_value_best_is_read():
    """Unknown and absent members count against it, missing ones rule it out."""
    payment = reader(Card | Transfer | Both | None)
    assert payment.load({"number": "1"}, "context") == Card("1")
    assert payment.load({"iban": "2", "holder": "x"}, "context") == Transfer("2", "x")
    assert payment.load({"iban": "2", "number": "1"}, "context") == Both("1", "2")
    assert payment.load(None, "context") is None
    assert problems(Card | Transfer | None, {"numbr": "1"}) == ["context.number is missing"]
    assert problems(Card | Transfer | None, 5) == ["context must be object or null, not integer"]
    for value in (Card("1"), Transfer("2"), Both("1", "2"), None):
        assert through_json(Card | Transfer | Both | None, value) == value


@dataclass
class Positive:
    n: int

    def __post_init__(self) -> None:
        if self.n <= 0:
            raise ValueError(f"n must be positive, not {self.n}")


def test_a_class_may_refuse_its_fields():
    """What __post_init__ says is a problem at the place of the object."""
    assert problems(list[Positive], [{"n": 1}, {"n": -1}, {"n": "1"}]) == [
        "context[1] is refused: n must be positive, not -1",
        "context[2].n must be integer, not string",
    ]


@dataclass
class Page(Generic[T]):
    items: list[T]
    first: T | None = None
    last: T = None  # type: ignore[assignment]
    rest: object = None


def test_type_arguments_are_filled_in():
    """A generic class is read as what it is of."""
    assert reader(Page[Customer]).load({"items": [{"email": "a"}]}, "x").items == [Customer("a")]
    assert problems(Page[int], {"items": ["a"], "first": "b"}) == [
        "context.items[0] must be integer, not string",
        "context.first must be integer or null, not string",
    ]


def test_values_are_checked_on_the_way_out():
    """An instance can hold anything, so it is checked like JSON; JSON that fits is as good."""
    order = Order(1, [2.5], Customer("a"))
    written = reader(Order).dump(order, "context")
    assert written == {
        "order_id": 1,
        "prices": [2.5],
        "customer": {"email": "a", "age": None},
        "color": "red",
        "notes": {},
    }
    assert reader(Order).dump({**written, "prices": [2.5]}, "context") == written
    order.customer.email = 5  # type: ignore[assignment]
    with pytest.raises(InvalidContext, match="email must be string, not integer"):
        reader(Order).dump(order, "context")


def test_members_that_a_type_does_not_know_are_kept():
    """Another step, or a newer one, may know them; at any depth."""
    value = {
        "order_id": 1,
        "prices": [],
        "customer": {"email": "a", "vip": True},
        "notes": {"x": [{"email": "b", "age": 1, "seen": "y"}]},
        "more": {"a": 1},
    }
    written = reader(Order).dump(value, "context")
    assert written["customer"] == {"email": "a", "age": None, "vip": True}
    assert written["notes"] == value["notes"]
    assert written["more"] == {"a": 1}


def test_what_cannot_be_written_at_all_is_said():
    """An object of a class without any form in JSON."""
    with pytest.raises(PayloadError, match=r"^charge cannot be stored as json: .*object"):
        reader(OrderDict).dump({"order_id": object()}, "charge")
    with pytest.raises(PayloadError, match=r"^charge cannot be stored as json: .*object"):
        reader(OrderModel).dump({"order_id": object()}, "charge")


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=True, extra="forbid")
    order_id: int = pydantic.Field(alias="orderId", gt=0, description="for readers")
    at: datetime
    tags: set[str] = set()


def test_pydantic_models_are_read_and_written_by_alias():
    """Their own rules hold: what they forbid is a problem, what they convert is converted."""
    at = datetime(2030, 1, 1, tzinfo=UTC)
    value = Aliased(order_id=7, at=at, tags={"a"})
    assert reader(Aliased).dump(value, "context") == {
        "orderId": 7,
        "at": "2030-01-01T00:00:00Z",
        "tags": ["a"],
    }
    assert through_json(Aliased, value) == value
    assert reader(Aliased).dump({"order_id": "7", "at": at}, "context")["orderId"] == 7
    assert problems(Aliased, {"orderId": -1, "at": "soon", "more": 1, "tags": [1]}) == [
        "context.orderId must be greater than 0",
        "context.at must be a valid datetime or date, input is too short",
        "context.tags[0] must be string, not integer",
        "context.more is not allowed",
    ]


class Sloppy(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    n: int
    name: str = None  # type: ignore[assignment]
    made: int = pydantic.Field(default_factory=lambda: 5)

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return self.n * 2


class Computing(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    text: pydantic.Json[list[int]] = [3]

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def size(self) -> int:
        return len(self.text)


@dataclass
class Careless:
    n: int
    names: list[str] = None  # type: ignore[assignment]


class Hopeless(pydantic.BaseModel):
    n: int

    @pydantic.field_serializer("n")
    def as_text(self, n: int) -> str:
        return "none"


def test_a_type_that_does_not_read_what_it_writes_is_refused():
    """Rather than stored for a step that could never begin."""
    with pytest.raises(InvalidContext, match=r"context\.n must be integer, not string"):
        reader(Hopeless).dump({"n": 1}, "context")


def test_what_is_written_can_be_read_again():
    """Even where a type would refuse its own defaults, or the fields that it computes."""
    assert reader(Sloppy).dump({"n": 1}, "context") == {"n": 1}
    assert reader(Sloppy).dump({"n": 1, "name": "a"}, "context") == {"n": 1, "name": "a", "made": 5}
    assert reader(Computing).dump({"text": "[1, 2]"}, "context") == {"text": "[1,2]"}
    assert through_json(Careless, Careless(1)) == Careless(1)
    assert reader(Careless).schema()["properties"]["names"]["anyOf"][1] == {"type": "null"}


@dataclass
class Mixed:
    customer: CustomerModel
    count: Annotated[int, annotated_types.Gt(5)] = 6


class Refusing(pydantic.BaseModel):
    n: Card | Transfer | int

    @pydantic.model_validator(mode="after")
    def check(self) -> Refusing:
        raise ValueError("Never.")


def test_pydantic_reads_whatever_holds_something_of_its():
    """A dataclass with a model, or with constraints, in it is checked by pydantic."""
    assert through_json(Mixed, Mixed(CustomerModel(email="a"))).customer.email == "a"
    assert problems(Mixed, {"customer": {}, "count": 5}) == [
        "context.customer.email is missing",
        "context.count must be greater than 5",
    ]
    assert problems(list[Refusing], [{"n": 1}, {"n": []}]) == [
        "context[0] never.",
        "context[1].n must be object or integer, not array",
    ]


def test_schemas_hold_what_decides():
    """No texts for readers and no defaults: those would change a version without its changing."""
    assert reader(Order).schema() == {
        "type": "object",
        "properties": {
            "order_id": {"type": "integer"},
            "prices": {"type": "array", "items": {"type": "number"}},
            "customer": {"$ref": "#/$defs/Customer"},
            "color": {"enum": ["blue", "red"]},
            "notes": {
                "type": "object",
                "additionalProperties": {
                    "type": "array",
                    "items": {"$ref": "#/$defs/Customer"},
                },
            },
        },
        "required": ["order_id", "prices", "customer"],
        "$defs": {
            "Customer": {
                "type": "object",
                "properties": {
                    "email": {"type": "string"},
                    "age": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                },
                "required": ["email"],
            }
        },
    }
    assert reader(Aliased).schema() == {
        "type": "object",
        "properties": {
            "orderId": {"type": "integer", "exclusiveMinimum": 0},
            "at": {"type": "string", "format": "date-time"},
            "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        },
        "required": ["orderId", "at"],
        "additionalProperties": False,
    }


def test_a_property_may_be_called_like_a_remark():
    """Only remarks are left out of a schema, not members that bear their names."""
    holder = dataclass(type("Holder", (), {"__annotations__": {"title": str, "default": int}}))
    assert reader(holder).schema()["properties"].keys() == {"title", "default"}
    model = pydantic.create_model("Model", title=(str, ...), kind=(Literal["title"], ...))
    assert reader(model).schema()["properties"].keys() == {"title", "kind"}


def test_references_stay_within_the_schema():
    """Classes of one name keep apart, and one that holds itself is referred to."""

    def other() -> Any:
        @dataclass
        class Customer:
            vip: bool

        return Customer

    assert reader(tuple[int, Customer]).load([1, {"email": "a"}], "x") == (1, Customer("a"))
    pair = reader(tuple[Customer, other(), Customer]).schema()
    assert pair["prefixItems"] == [
        {"$ref": "#/$defs/Customer"},
        {"$ref": "#/$defs/Customer_2"},
        {"$ref": "#/$defs/Customer"},
    ]
    assert pair["$defs"]["Customer_2"]["required"] == ["vip"]
    tree = reader(Everything).schema()
    assert tree["$ref"] == "#/$defs/Everything"
    assert tree["$defs"]["Everything"]["properties"]["inner"]["items"] == {"$ref": tree["$ref"]}


@dataclass
class Unreadable:
    z: complex


@dataclass
class Lost:
    x: NoSuchName  # type: ignore[name-defined]  # noqa: F821


def test_a_type_that_no_json_can_be_is_refused_with_its_field():
    """Before any value is read."""
    with pytest.raises(TypeError, match=r"^Unreadable\.z: no JSON can be read as 'complex'$"):
        typed(Unreadable)
    with pytest.raises(TypeError, match=r"^no set can hold 'Customer': make it a frozen dataclass"):
        typed(set[Customer])
    with pytest.raises(NameError, match="NoSuchName"):
        typed(list[Lost])
