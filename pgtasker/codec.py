"""Contexts and results that only clients and runners can read, such as encrypted ones.

Responsible for when the codec of a user is called: what it made is stored as an object of one
member, so that what others stored as it is stays readable, and can be told apart. What it does with
a value is its own business. Names, tags, keys, errors, progress and reasons are stored as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar, cast

from pgtasker.rows import HistoryEntry, Json, StepDependency, Task, TaskStep

T = TypeVar("T")

ENCODED = "pgtasker_encoded"


class Codec(Protocol):
    """Changes JSON values before they are sent, and back after they were read.

    `decode(encode(value))` is the value. Both may be called from several threads at once. What
    `encode` answers must be JSON, and the same for the same value if tasks are started with
    idempotency keys: the database compares what it has. An exception of `encode` or `decode` is
    raised where the client was called; in a runner it fails the attempt.
    """

    def encode(self, value: Json) -> Json:
        """What to store instead of the value."""

    def decode(self, value: Json) -> Json:
        """The value that `encode` was given."""


def encoded(codec: Codec | None, value: Json) -> Json:
    """The value as it is stored; nothing stays nothing."""
    return value if codec is None or value is None else {ENCODED: codec.encode(value)}


def decoded(codec: Codec | None, value: Json) -> Json:
    """The value as it was, if it was encoded."""
    if codec is None or not isinstance(value, dict) or value.keys() != {ENCODED}:
        return value
    return codec.decode(value[ENCODED])


def readable(codec: Codec | None, answer: T) -> T:
    """An answer of the surface, with contexts and results as they were."""
    return answer if codec is None else cast(T, _readable(codec, answer))


def registrable(codec: Codec | None, document: Mapping[str, Json]) -> Mapping[str, Json]:
    """A definition as it is stored: the database cannot check a context that it cannot read."""
    if codec is None or document.get("context_schema") is None:
        return document
    return {name: value for name, value in document.items() if name != "context_schema"}


def _readable(codec: Codec, answer: Any) -> Any:
    match answer:
        case list():
            return [_readable(codec, each) for each in answer]
        case Task():
            results = {name: decoded(codec, each) for name, each in (answer.results or {}).items()}
            return replace(answer, context=decoded(codec, answer.context), results=results)
        case TaskStep() | HistoryEntry() | StepDependency():
            return replace(answer, results=decoded(codec, answer.results))
    return answer
