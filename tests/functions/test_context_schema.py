"""What a context_schema asks for, keyword by keyword, as tasks that are created meet it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest
from jsonschema import Draft202012Validator

from ..support.graph import workflow
from ..support.session import Session
from .schema_cases import CASES, DEFS

every_case = pytest.mark.parametrize(("schema", "fitting", "misfits"), CASES.values(), ids=CASES)
# In the binary fractions of other implementations 0.07 is no multiple of 0.01.
EXACT_ELSEWHERE = {name: case for name, case in CASES.items() if name != "multipleOf"}


def schema_of_x(schema: Any) -> dict[str, Any]:
    """A schema of contexts for the value x in them."""
    return {"type": "object", "properties": {"x": schema}, "$defs": DEFS}


def problems_of(db: Session, schema: Any, *contexts: Any) -> list[list[str]]:
    """What is wrong with each of the contexts: `path message`."""
    db.call("register_workflow", definition=workflow("a->b", context_schema=schema))
    tasks = db.call("create_tasks", name="flow", contexts=list(contexts))
    found = []
    for task in map(db.task, tasks):
        problems = task.error["a"]["problems"] if task.error else []
        assert task.state == ("error" if problems else "pending")
        found.append([f"{each['path']} {each['message']}" for each in problems])
    return found


@every_case
def test_a_value_fits_or_is_told_why(
    db: Session, schema: Any, fitting: list[Any], misfits: dict[str, Any]
):
    """Many values at once; the problem names the path, what was asked for and what there was."""
    values = [*fitting, *misfits.values()]
    found = problems_of(db, schema_of_x(schema), *({"x": value} for value in values))
    expected = [
        f"context.x{message if message[0] in '.[' else ' ' + message}" for message in misfits
    ]
    assert found == [[] for _ in fitting] + [[problem] for problem in expected]


@pytest.mark.parametrize(
    ("schema", "fitting", "misfits"), EXACT_ELSEWHERE.values(), ids=EXACT_ELSEWHERE
)
def test_the_cases_are_what_the_standard_says(
    schema: Any, fitting: list[Any], misfits: dict[str, Any]
):
    """Another implementation agrees on every one of them."""
    validator = Draft202012Validator(schema_of_x(schema))
    assert [validator.is_valid({"x": value}) for value in fitting] == [True] * len(fitting)
    assert not [value for value in misfits.values() if validator.is_valid({"x": value})]


def test_all_problems_are_told(db: Session):
    """With the path of each, however deep; each once, though two rules say the same."""
    schema = {
        "allOf": [{"required": ["order_id"]}],
        "required": ["order_id"],
        "properties": {
            "prices": {"items": {"type": "integer"}},
            "customer": {"properties": {"email": {"type": "string"}}},
        },
    }
    context = {"prices": [1, "2", 3, None], "customer": {"email": 7}}
    [found] = problems_of(db, schema, context)
    assert sorted(found) == [
        "context.customer.email must be string, not number",
        "context.order_id is missing",
        "context.prices[1] must be integer, not string",
        "context.prices[3] must be integer, not null",
    ]


@pytest.mark.parametrize(("items", "end"), [(20, "[19] is not allowed"), (23, "; and 3 more")])
def test_a_long_list_of_problems_is_cut(db: Session, items: int, end: str):
    """Twenty are told, and how many there are beyond them."""
    [found] = problems_of(db, {"properties": {"x": {"items": False}}}, {"x": [0] * items})
    assert found == [f"context.x[{place}] is not allowed" for place in range(20)]
    [task] = db.column("select task_id from tasks")
    error = db.task(task).error["a"]
    assert error["message"].startswith("the context does not fit: context.x[0] is not allowed; ")
    assert error["message"].endswith(end)


def test_what_is_told_is_bounded(db: Session):
    """Neither long keys nor long values fill the log."""
    schema = {"additionalProperties": {"anyOf": [{"const": 1}, {"enum": ["a"]}, {"$ref": "#"}]}}
    deep: Any = {"x": "v" * 100_000}
    for _ in range(50):
        deep = {"k" * 100: deep}
    for context, bound in (({"k" * 100_000: "v" * 100_000}, 500), (deep, 1500)):
        [[problem]] = problems_of(db, schema | {"type": "object"}, context)
        assert 200 < len(problem) < bound


@pytest.mark.parametrize(
    ("pattern", "fitting", "misfits"),
    [
        ("b", ["abc"], ["ac"]),
        ("^b$", ["b"], ["abc", "b\n", "a\nb"]),
        ("^.$", ["a", "é", "😀"], ["\n", ""]),
        (r"^\d{2}$", ["07"], ["٣٤", "x7"]),
        (r"^\w+$", ["a_1"], ["é", "a b"]),
        (r"\bcat\b", ["the cat sat"], ["concatenate"]),
        (r"^\x41\u0042C$", ["ABC"], ["x41BC"]),
        (r"^a\.b$", ["a.b"], ["a b"]),
        (r"^[.\w-]+@[^@]+$", ["a.b-c@d\n"], ["a@b@c"]),
        (r"^(?:(?=ab)a|c)[\s\S]$", ["ab", "cd"], ["ac"]),
        (r"^(a|b)\1$", ["aa", "bb"], ["ab"]),
        ("^$|^[A-Z]{3}$", ["", "EUR"], ["eur"]),
    ],
)
def test_a_pattern_means_what_it_means_in_javascript(
    db: Session, pattern: str, fitting: list[str], misfits: list[str]
):
    """Whatever the database's own dialect and collation."""
    values = [{"x": value} for value in [*fitting, *misfits]]
    found = problems_of(db, schema_of_x({"pattern": pattern}), *values)
    assert [bool(problems) for problems in found] == [False] * len(fitting) + [True] * len(misfits)


@pytest.mark.parametrize("depth", [90, 120])
def test_nesting_has_a_bound(db: Session, depth: int):
    """A value nested too deep is told so; the session survives."""
    schema = {"properties": {"x": {"$ref": "#/$defs/L"}}}
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    schema |= {"$defs": {"L": {"type": "array", "items": {"$ref": "#/$defs/L"}}}}
    [found] = problems_of(db, schema, {"x": value})
    assert [problem.endswith("is nested too deep for its schema") for problem in found] == (
        [True] if depth > 100 else []
    )


# Schemas that libraries write


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, pydantic.Field(ge=1, le=9)] = 9


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    name: Annotated[str, pydantic.Field(min_length=1, pattern=r"^\w+$")]


class Part(pydantic.BaseModel):
    name: str
    parts: list[Part] = []


class Order(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    order_id: int
    prices: list[float]
    pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]
    email: str | None = None
    tags: set[str] = set()
    amounts: dict[str, int] = {}
    pair: tuple[int, str] = (1, "a")
    tree: Part | None = None


ORDER = {"order_id": 7, "prices": [1.5], "pet": {"kind": "cat"}}
ORDERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"email": None, "tags": ["a"], "amounts": {"b": 2}, "pair": [1, ""]}, []),
    ({"tree": {"name": "a", "parts": [{"name": "b", "parts": []}]}}, []),
    ({"pet": {"kind": "dog", "name": "Rex"}}, []),
    ({"order_id": "7"}, ["context.order_id"]),
    ({"prices": [1, None], "odd one": 1}, ["context.prices[1]", 'context["odd one"]']),
    ({"pet": {"kind": "cow"}}, ["context.pet"]),
    ({"email": 7, "tags": ["a", "a"]}, ["context.email", "context.tags"]),
    ({"amounts": {"b": 0.5}, "pair": [1, "", 2]}, ["context.amounts.b", "context.pair"]),
    ({"tree": {"name": "a", "parts": [{"parts": []}]}}, ["context.tree.parts[0].name"]),
]


def test_a_schema_of_pydantic(db: Session):
    """With nested, recursive, optional and discriminated models."""
    contexts = [ORDER | more for more, _ in ORDERS]
    found = problems_of(db, Order.model_json_schema(), *contexts)
    paths = [
        sorted(problem.split(" must ")[0].split(" is ")[0] for problem in each) for each in found
    ]
    assert [[path.split(" fits ")[0] for path in each] for each in paths] == [
        sorted(paths) for _, paths in ORDERS
    ]


class Leaf(msgspec.Struct, tag="leaf"):
    value: Annotated[int, msgspec.Meta(ge=0)]


class Branch(msgspec.Struct, tag="branch", forbid_unknown_fields=True):
    children: list[Leaf | Branch]


class Job(TypedDict):
    tree: Leaf | Branch
    size: Literal["S", "M"] | None
    pair: tuple[int, str]


@pytest.mark.parametrize(
    ("context", "paths"),
    [
        ({"tree": {"type": "leaf", "value": 1}, "size": None, "pair": [1, "a"]}, []),
        ({"tree": {"type": "branch", "children": []}, "size": "S", "pair": [1, "a"]}, []),
        ({"tree": {"type": "leaf", "value": -1}, "size": "L"}, ["pair", "size", "tree"]),
        ({"tree": 1, "size": "S", "pair": [1]}, ["pair", "tree"]),
    ],
)
def test_a_schema_of_msgspec(db: Session, context: dict[str, Any], paths: list[str]):
    """With tagged unions and typed dictionaries."""
    [found] = problems_of(db, msgspec.json.schema(Job), context)
    assert sorted(problem.split()[0] for problem in found) == [f"context.{path}" for path in paths]
