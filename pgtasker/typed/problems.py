"""Words for what is wrong with a value, the same whichever library found it.

Responsible for paths (context.prices[1], charge.total), for the names of kinds of JSON, and for the
error that lists all problems of one value. The database, which checks contexts by their schema,
says it in the same words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from pgtasker.errors import InvalidContext, InvalidPayload, Problem

CONTEXT = "context"

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


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


def member(path: str, key: str | int) -> str:
    """The path of a member of an object, or of an element of an array."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if _PLAIN.fullmatch(key) else f"{path}[{json.dumps(key)}]"


def wrong_kind(kinds: Iterable[str], value: object, path: str) -> Problem:
    """The value is of another kind than any of these."""
    words = sorted(dict.fromkeys(kinds), key=lambda kind: kind == "null")
    return Problem(path, f"must be {' or '.join(words)}, not {kind_of(value)}")


def fits(value: object, kinds: Iterable[str]) -> bool:
    """Whether the value is of one of these kinds."""
    kind = kind_of(value)
    return kind in kinds or (kind == "integer" and "number" in kinds)
