"""Words for what is wrong with a value, the same whichever library found it.

Responsible for paths (context.prices[1], charge.total), for the names of kinds of JSON, and for the
error that lists all problems of one value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from pgtasker.errors import InvalidContext, InvalidPayload, Problem

CONTEXT = "context"


def invalid(what: str, problems: Iterable[Problem]) -> InvalidPayload:
    """The error for all that is wrong with a value: the context, or the result of a step."""
    if what == CONTEXT:
        return InvalidContext("the context", problems)
    return InvalidPayload(f"the result of {what}", problems)


def combined(errors: Sequence[InvalidPayload]) -> InvalidPayload:
    """One error for several values."""
    if len(errors) == 1:
        return errors[0]
    return InvalidPayload("what it receives", chain.from_iterable(each.problems for each in errors))


def kind_of(value: object) -> str:
    """What JSON calls this kind of value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, Mapping):
        return "object"
    return "array"


def member(path: str, key: object) -> str:
    """The path of a member of an object, or of an element of an array."""
    return f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}"


def wrong_kind(kinds: Iterable[str], value: object, path: str) -> Problem:
    """The value is of another kind than any of these."""
    return Problem(path, f"must be {' or '.join(kinds)}, not {kind_of(value)}")


def fits(value: object, kinds: Iterable[str]) -> bool:
    """Whether the value is of one of these kinds."""
    kind = kind_of(value)
    return kind in kinds or (kind == "integer" and "number" in kinds)
