"""Types in which a pydantic model stands, read and written by pydantic.

Responsible for telling pydantic that values are JSON, by alias, and for the translation of its
errors. Nothing imports this module unless an annotation names a model.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pydantic
import pydantic_core

from pgtasker import payload
from pgtasker.errors import PayloadError, Problem
from pgtasker.rows import Json
from pgtasker.typed.problems import invalid, kind_of, member, wrong_kind
from pgtasker.typed.schemas import Schema, bare

# The first after which the type reads what it wrote is taken: a model may forbid the fields that it
# computes, or have a default that it would refuse.
_WAYS_OUT: tuple[dict[str, Any], ...] = (
    {},
    {"round_trip": True},
    {"round_trip": True, "exclude_unset": True},
)
_KINDS = {
    "int": "integer",
    "float": "number",
    "decimal": "number",
    "string": "string",
    "bool": "boolean",
    "list": "array",
    "set": "array",
    "frozen_set": "array",
    "tuple": "array",
    "dict": "object",
    "mapping": "object",
    "model": "object",
    "model_attributes": "object",
    "dataclass": "object",
    "none_required": "null",
}


class PydanticType:
    """A type that pydantic reads."""

    def __init__(self, annotation: Any) -> None:
        self._adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(annotation)

    def load(self, value: Json, what: str) -> Any:
        """The value as an instance."""
        text = _text(value, what)
        try:
            return self._adapter.validate_json(text)
        except pydantic.ValidationError as error:
            raise invalid(what, _problems(error, json.loads(text), what)) from None

    def dump(self, value: Any, what: str) -> Json:
        """An instance, or what could be read as one, as JSON."""
        loaded = self.load(value, what)
        for options in _WAYS_OUT:
            text = _text(loaded, what, partial(self._adapter.dump_json, **options))
            with suppress(pydantic.ValidationError):
                self._adapter.validate_json(text)
                return json.loads(text)
        return self.load(json.loads(text), what)  # raises: the type does not read what it writes

    def schema(self) -> Schema:
        """The type as a JSON Schema: what may be given, which is what validation accepts."""
        schema: Schema = bare(self._adapter.json_schema(by_alias=True, mode="validation"))
        return schema


def _text(value: Any, what: str, writer: Callable[..., bytes] = pydantic_core.to_json) -> bytes:
    try:
        return writer(value, by_alias=True)
    except (ValueError, TypeError, RecursionError) as error:  # pydantic's own is a ValueError
        reason = " ".join(str(error).split())
        raise PayloadError(f"{what} cannot be stored as json: {reason}") from error


def _problems(error: pydantic.ValidationError, value: Json, what: str) -> list[Problem]:
    """One problem for each place; what several arms of a union expect there is put together."""
    found: dict[tuple[str, str], list[str]] = {}
    values: dict[str, Json] = {}
    for detail in error.errors(include_url=False, include_context=False):
        missing = detail["type"] == "missing"
        path, inner = _place(detail["loc"], value, what, missing=missing)
        values[path] = inner
        kind = _KINDS.get(detail["type"].removesuffix("_type").removesuffix("_parsing"))
        if kind is None or kind == kind_of(inner):
            found[path, _message(detail["type"], detail["msg"])] = []
        else:
            found.setdefault((path, ""), []).append(kind)
    return [
        wrong_kind(kinds, values[path], path) if kinds else Problem(path, message)
        for (path, message), kinds in found.items()
    ]


def _place(
    loc: tuple[int | str, ...], value: Json, what: str, *, missing: bool
) -> tuple[str, Json]:
    """Path and value of a location, without the names of union arms that pydantic puts in it."""
    path, inner = what, value
    for key in loc[:-1] if missing else loc:
        if isinstance(inner, dict) and key in inner:
            path, inner = member(path, str(key)), inner[key]
        elif isinstance(inner, list) and isinstance(key, int) and key < len(inner):
            path, inner = member(path, key), inner[key]
    return (member(path, str(loc[-1])), None) if missing else (path, inner)


def _message(kind: str, text: str) -> str:
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is not allowed"
    text = payload.storable(text).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if text.startswith("Input should be "):
        return text.replace("Input should be", "must be", 1)
    return text[:1].lower() + text[1:]
