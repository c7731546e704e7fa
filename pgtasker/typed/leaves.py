"""What is left of a type when it has been taken apart: numbers, texts, times, enums ...

Responsible for reading such values with msgspec, for saying in the words of JSON what msgspec says
of them, and for the few classes that it does not know.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import PurePath
from typing import Any

import msgspec

from pgtasker.errors import Problem
from pgtasker.rows import Json
from pgtasker.typed.problems import fits, kind_of, wrong_kind
from pgtasker.typed.schemas import Schema, bare, inlined

KINDS = ("null", "boolean", "integer", "number", "string", "array", "object")
LONGEST_VALUE = 100  # characters of a value in an error
_WORDS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "None": "null"}
_PLACE = re.compile(r" - at (?:`key` in )?`\$(.*)`$")


class LeafNode:
    """A type that msgspec reads."""

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation
        self._schema = _schema(annotation)
        self.kinds = _kinds(self._schema)

    def load(self, value: Json, path: str, problems: list[Problem]) -> Any:
        """The value as an instance; see Node."""
        try:
            return converted(value, self._annotation)
        except msgspec.ValidationError as error:
            problems.append(self._problem(str(error), value, path))

    def schema(self, definitions: object) -> Schema:
        """The JSON Schema; see Node."""
        return self._schema

    def _problem(self, said: str, value: Json, path: str) -> Problem:
        if place := _PLACE.search(said):
            return Problem(path + place[1], _reworded(said[: place.start()]))
        if "enum" in self._schema:
            allowed = [json.dumps(each) for each in self._schema["enum"]]
            one_of = "one of " if len(allowed) > 1 else ""
            given = json.dumps(value)[:LONGEST_VALUE]
            return Problem(path, f"must be {one_of}{', '.join(allowed)}, not {given}")
        if not fits(value, self.kinds):
            return wrong_kind(self.kinds, value, path)
        return Problem(path, _reworded(said))


def is_known(annotation: Any) -> bool:
    """Whether msgspec can read all of a type."""
    try:
        msgspec.inspect.type_info(annotation)
    except TypeError:
        return False
    return True


def converted(value: Json, annotation: Any) -> Any:
    """The value as msgspec reads it; raises msgspec.ValidationError."""
    return msgspec.convert(value, annotation, str_keys=True, dec_hook=_of_other_class)


def _of_other_class(wanted: Any, value: Any) -> Any:
    """A value of a class that msgspec does not know; those that are refused never come here."""
    return wanted(value) if isinstance(wanted, type) and issubclass(wanted, PurePath) else value


def _schema(annotation: Any) -> Schema:
    if annotation is object:
        return {}
    if annotation is Decimal:
        return {"anyOf": [{"type": "string"}, {"type": "number"}]}
    schema: Schema = bare(inlined(msgspec.json.schema(annotation, schema_hook=_schema_of_class)))
    return schema


def _schema_of_class(wanted: Any) -> Schema:
    if isinstance(wanted, type) and issubclass(wanted, PurePath):
        return {"type": "string"}
    raise TypeError(f"no JSON can be read as {getattr(wanted, '__qualname__', wanted)!r}")


def _kinds(schema: Schema) -> tuple[str, ...]:
    """What JSON calls the values that fit a schema without references."""
    if "anyOf" in schema:
        return tuple(dict.fromkeys(kind for arm in schema["anyOf"] for kind in _kinds(arm)))
    if "enum" in schema:
        return tuple(dict.fromkeys(kind_of(value) for value in schema["enum"]))
    return (schema["type"],) if "type" in schema else KINDS


def _reworded(said: str) -> str:
    """What msgspec said, in the words of JSON, to follow a path."""
    said = re.sub("`([^`]*)`", lambda found: _WORDS.get(found[1], found[1]), said)
    said = re.sub(", got ", ", not ", said)
    for begins, instead in (("Expected ", "must be "), ("Invalid ", "is no valid ")):
        if said.startswith(begins):
            return instead + said.removeprefix(begins)
    return f"is refused: {said}"
