"""Dataclasses, TypedDicts, and lists, unions and the like of them, read from JSON.

Responsible for taking a type apart, and for which classes can be read. What the parts do with a
value is left to `nodes`.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pgtasker import payload
from pgtasker.errors import Problem
from pgtasker.rows import Json
from pgtasker.typed.annotations import fields_of, is_structured, parts, unaliased
from pgtasker.typed.leaves import LeafNode, is_known
from pgtasker.typed.nodes import (
    Definitions,
    DictNode,
    ListNode,
    Member,
    Node,
    ObjectNode,
    TupleNode,
    UnionNode,
)
from pgtasker.typed.problems import invalid

_LISTS: dict[Any, Callable[[Any], Any]] = {
    list: list,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Collection: list,
    collections.abc.Iterable: list,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
}
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_UNIONS = (typing.Union, types.UnionType)
_QUALIFIERS = ("Required", "NotRequired", "ReadOnly")  # by name: typing_extensions has some too


class PlainType:
    """A type without pydantic models."""

    def __init__(self, annotation: Any, local: Mapping[str, Any]) -> None:
        self._node = _Reader(local).node(annotation)

    def load(self, value: Json, what: str) -> Any:
        """The value as an instance."""
        problems: list[Problem] = []
        try:
            loaded = self._node.load(value, what, problems)
        except RecursionError:
            problems = [Problem(what, "is nested too deep")]
        if problems:
            raise invalid(what, problems)
        return loaded

    def dump(self, value: Any, what: str) -> Json:
        """An instance, or what could be read as one, as JSON.

        Members that the type does not know are kept: other steps may know them.
        """
        given = payload.written(value, what)
        return _with_unknown(payload.written(self.load(given, what), what), given)

    def schema(self) -> dict[str, Any]:
        """The type as a JSON Schema."""
        definitions = Definitions()
        schema = self._node.schema(definitions)
        return definitions.completed(schema)


class _Reader:
    """Takes one type apart; each class in it is met once, so that it may name itself."""

    def __init__(self, local: Mapping[str, Any]) -> None:
        self._local = local
        self._objects: list[tuple[Any, ObjectNode]] = []

    def node(self, annotation: Any) -> Node:
        """The node of a type; raises TypeError or NameError for one that cannot be read."""
        annotation = unaliased(annotation)
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        structured = any(map(is_structured, parts(annotation)))
        if is_structured(annotation):
            return self._object(annotation)
        if _is_qualified(origin) or (origin is typing.Annotated and structured):
            return self.node(arguments[0])
        if origin in _UNIONS:
            return UnionNode([self.node(argument) for argument in arguments])
        quick = None if structured or not is_known(annotation) else annotation
        if origin is tuple and arguments[-1:] == (Ellipsis,):
            return ListNode(self.node(arguments[0]), tuple, quick)
        if origin is tuple and structured:
            return TupleNode([self.node(argument) for argument in arguments])
        if origin in _LISTS:
            if _LISTS[origin] is not list:
                _check_hashable(arguments[0])
            return ListNode(self.node(arguments[0]), _LISTS[origin], quick)
        if origin in _DICTS:
            return DictNode(arguments[0], self.node(arguments[1]), quick)
        return LeafNode(annotation)

    def _object(self, annotation: Any) -> ObjectNode:
        for known, node in self._objects:
            if known == annotation:
                return node
        plain = typing.get_origin(annotation) or annotation
        node = ObjectNode(plain)
        self._objects.append((annotation, node))
        hints = fields_of(annotation, self._local)
        for name, hint, required in _members(plain, hints):
            try:
                node.members[name] = Member(self.node(hint), required)
            except TypeError as error:
                raise TypeError(f"{plain.__name__}.{name}: {error}") from error
        return node


def _check_hashable(annotation: Any) -> None:
    for part in parts(annotation):
        if isinstance(part, type) and part.__hash__ is None:
            raise TypeError(f"no set can hold {part.__qualname__!r}: make it a frozen dataclass")


def _members(plain: Any, hints: Mapping[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    """The names that a JSON object has, their types, and whether they must be there."""
    if dataclasses.is_dataclass(plain):
        for field in dataclasses.fields(plain):
            if field.init:
                hint = hints[field.name]
                if field.default is None:  # as in `x: int = None`, which many write
                    hint = hint | None
                nothing = dataclasses.MISSING
                required = field.default is nothing and field.default_factory is nothing
                yield field.name, hint, required
        return
    for name, hint in hints.items():
        # Where annotations are text, only they know: the class itself was made without reading it.
        said = {getattr(origin, "_name", "") for origin in _origins(hint)}
        required = "Required" in said or (
            "NotRequired" not in said and name in plain.__required_keys__
        )
        yield name, hint, required


def _origins(hint: Any) -> Iterator[Any]:
    """The qualifiers around a type, from the outside in."""
    while _is_qualified(origin := typing.get_origin(hint)):
        yield origin
        hint = typing.get_args(hint)[0]


def _is_qualified(origin: Any) -> bool:
    return getattr(origin, "_name", None) in _QUALIFIERS


def _with_unknown(written: Json, given: Json) -> Json:
    """What was written, with the members of objects that were given beside it."""
    if isinstance(written, dict) and isinstance(given, dict):
        known = {name: _with_unknown(value, given.get(name)) for name, value in written.items()}
        return {**given, **known}
    if isinstance(written, list) and isinstance(given, list) and len(written) == len(given):
        return [_with_unknown(*pair) for pair in zip(written, given, strict=True)]
    return written
