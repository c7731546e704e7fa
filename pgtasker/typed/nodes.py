"""The parts of a type: objects, containers, unions, and what is left.

Responsible for reading a value part by part, so that every problem in it is found, and for the JSON
Schema of each part. What cannot be taken apart is left to `leaves`, as are containers of
nothing else as long as nothing is wrong with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any, NamedTuple, Protocol

import msgspec

from pgtasker.errors import Problem
from pgtasker.rows import Json
from pgtasker.typed.leaves import converted
from pgtasker.typed.problems import fits, kind_of, member, wrong_kind
from pgtasker.typed.schemas import Schema

_REFUSED = (ValueError, TypeError, AssertionError)  # with what a __post_init__ refuses its fields


class Node(Protocol):
    """A part of a type."""

    kinds: tuple[str, ...]  # what JSON calls values of it

    def load(self, value: Json, path: str, problems: list[Problem]) -> Any:
        """The value as an instance; what is returned after adding a problem means nothing."""

    def schema(self, definitions: Definitions) -> Schema:
        """The JSON Schema; objects put theirs into `definitions`."""


class ListNode:
    """A list, a set, a tuple of any length; `quick` is its type if msgspec can read all of it."""

    kinds: tuple[str, ...] = ("array",)

    def __init__(self, item: Node, make: Callable[[Any], Any], quick: Any) -> None:
        self._item = item
        self._make = make
        self._quick = quick

    def load(self, value: Json, path: str, problems: list[Problem]) -> Any:
        """See Node."""
        if self._quick is not None:
            try:
                return converted(value, self._quick)
            except msgspec.ValidationError:
                pass
        if not isinstance(value, list | tuple):
            problems.append(wrong_kind(self.kinds, value, path))
            return None
        before = len(problems)
        loaded = [
            self._item.load(item, member(path, position), problems)
            for position, item in enumerate(value)
        ]
        return self._make(loaded) if len(problems) == before else None

    def schema(self, definitions: Definitions) -> Schema:
        """See Node."""
        return {"type": "array", "items": self._item.schema(definitions)}


class TupleNode:
    """A tuple of so many elements, each of its own type."""

    kinds: tuple[str, ...] = ("array",)

    def __init__(self, items: list[Node]) -> None:
        self._items = items

    def load(self, value: Json, path: str, problems: list[Problem]) -> Any:
        """See Node."""
        if not isinstance(value, list | tuple):
            problems.append(wrong_kind(self.kinds, value, path))
        elif len(value) != len(self._items):
            problems.append(Problem(path, f"must have {len(self._items)} elements"))
        else:
            return tuple(
                item.load(inner, member(path, position), problems)
                for position, (item, inner) in enumerate(zip(self._items, value, strict=True))
            )
        return None

    def schema(self, definitions: Definitions) -> Schema:
        """See Node."""
        size = len(self._items)
        items = [item.schema(definitions) for item in self._items]
        return {"type": "array", "prefixItems": items, "minItems": size, "maxItems": size}


class DictNode:
    """An object whose members have any name and one type."""

    kinds: tuple[str, ...] = ("object",)

    def __init__(self, key: Any, value: Node, quick: Any) -> None:
        self._keys = dict[key, None]
        self._value = value
        self._quick = quick

    def load(self, value: Json, path: str, problems: list[Problem]) -> Any:
        """See Node."""
        if self._quick is not None:
            try:
                return converted(value, self._quick)
            except msgspec.ValidationError:
                pass
        if not isinstance(value, Mapping):
            problems.append(wrong_kind(self.kinds, value, path))
            return None
        loaded = {}
        for name, inner in value.items():
            place = member(path, str(name))
            try:
                (key,) = converted({name: None}, self._keys)
            except msgspec.ValidationError:
                problems.append(Problem(place, "bears a name that is no key of this kind"))
            else:
                loaded[key] = self._value.load(inner, place, problems)
        return loaded

    def schema(self, definitions: Definitions) -> Schema:
        """See Node."""
        return {"type": "object", "additionalProperties": self._value.schema(definitions)}


class UnionNode:
    """One of several types: of those that fit, the one that knows the value best."""

    def __init__(self, arms: list[Node]) -> None:
        self._arms = arms
        self.kinds = tuple(dict.fromkeys(kind for arm in arms for kind in arm.kinds))

    def load(self, value: Json, path: str, problems: list[Problem]) -> Any:
        """See Node."""
        possible = [arm for arm in self._arms if fits(value, arm.kinds)]
        if not possible:
            problems.append(wrong_kind(self.kinds, value, path))
            return None
        found: list[tuple[int, list[Problem], Any]] = []
        for arm in possible:
            wrong: list[Problem] = []
            loaded = arm.load(value, path, wrong)
            found.append((_distance(arm, value), wrong, loaded))
        best = min(found, key=lambda one: (len(one[1]), one[0]))
        problems.extend(best[1])
        return best[2]

    def schema(self, definitions: Definitions) -> Schema:
        """See Node."""
        return {"anyOf": [arm.schema(definitions) for arm in self._arms]}


class Member(NamedTuple):
    """A field of an object, and whether it must be there."""

    node: Node
    required: bool


class ObjectNode:
    """A dataclass or a TypedDict; its members are put in once it exists: they may name it."""

    kinds: tuple[str, ...] = ("object",)

    def __init__(self, plain: type[Any]) -> None:
        self._plain = plain
        self._make: Callable[..., Any] | None = plain if is_dataclass(plain) else None
        self.members: dict[str, Member] = {}

    def load(self, value: Json, path: str, problems: list[Problem]) -> Any:
        """See Node."""
        if not isinstance(value, Mapping):
            problems.append(wrong_kind(self.kinds, value, path))
            return None
        before = len(problems)
        loaded = {}
        for name, (node, required) in self.members.items():
            if name in value:
                loaded[name] = node.load(value[name], member(path, name), problems)
            elif required:
                problems.append(Problem(member(path, name), "is missing"))
        if len(problems) > before:
            return None
        if self._make is None:
            return {**value, **loaded}
        try:
            return self._make(**loaded)
        except _REFUSED as error:
            problems.append(Problem(path, f"is refused: {error}"))

    def schema(self, definitions: Definitions) -> Schema:
        """See Node."""
        return definitions.reference(self, self._plain.__name__)

    def own_schema(self, definitions: Definitions) -> Schema:
        """What stands where the reference points to."""
        members = self.members.items()
        required = [name for name, (_, required) in members if required]
        return {
            "type": "object",
            "properties": {name: node.schema(definitions) for name, (node, _) in members},
            **({"required": required} if required else {}),
        }


class Definitions:
    """The objects of a schema, each under a name of its own."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}
        self._names: dict[int, str] = {}
        self._uses: Counter[str] = Counter()

    def reference(self, node: ObjectNode, wish: str) -> Schema:
        """A reference to an object; it is defined when first met, under the name it wishes."""
        name = self._names.get(id(node))
        if name is None:
            same = sum(known.rpartition("_")[0] == wish or known == wish for known in self.schemas)
            name = self._names[id(node)] = f"{wish}_{same + 1}" if same else wish
            self.schemas[name] = {}  # taken; whoever refers to it meanwhile needs only the name
            self.schemas[name] = node.own_schema(self)
        self._uses[name] += 1
        return {"$ref": f"#/$defs/{name}"}

    def completed(self, schema: Schema) -> Schema:
        """A schema with the definitions it needs; what only the whole refers to is the whole."""
        name = schema.get("$ref", "").rpartition("/")[2]
        if self._uses[name] == 1:
            schema = self.schemas.pop(name)
        return {**schema, "$defs": self.schemas} if self.schemas else schema


def _distance(arm: Node, value: Json) -> int:
    """How far a value is from what an arm describes: members that only one of them has."""
    if isinstance(arm, ObjectNode):
        return len(arm.members.keys() ^ value.keys())
    return kind_of(value) not in arm.kinds
