"""Values of the types that annotations name: JSON in, instances out, and the way back.

Responsible for which annotations ask for that: dataclasses, TypedDicts and pydantic models, and
lists, unions and the like of them. Any other annotation is a remark for readers. How a type is read
is left to `plain` (on msgspec) and `pydantic_models`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pgtasker.rows import Json
from pgtasker.typed.annotations import fields_of, is_model, is_structured, parts
from pgtasker.typed.plain import PlainType

_PYDANTIC = ("pydantic", "pydantic_core", "annotated_types")


class Typed(Protocol):
    """A type that values of JSON can be read as; `what` begins the path of every problem."""

    def load(self, value: Json, what: str) -> Any:
        """The value as an instance; raises InvalidPayload (InvalidContext if `what` is that)."""

    def dump(self, value: Any, what: str) -> Json:
        """An instance, or what could be read as one, as JSON; raises as `load` does."""

    def schema(self) -> dict[str, Any]:
        """The type as a JSON Schema, whose references stay within it."""


def typed(annotation: Any, local: Mapping[str, Any] | None = None) -> Typed | None:
    """How values of this type are read, or None if the annotation does not ask for it.

    `local` are types that the fields of the type name and that no module knows. Raises TypeError
    (or NameError) for a type that no JSON can be read as.
    """
    if not asks_for_reading(annotation):
        return None
    if not _is_of_pydantic(annotation, local or {}):
        return PlainType(annotation, local or {})
    from pgtasker.typed.pydantic_models import PydanticType  # whoever has a model has pydantic

    return PydanticType(annotation)


def asks_for_reading(annotation: Any) -> bool:
    """Whether a dataclass, a TypedDict or a pydantic model stands somewhere in the annotation."""
    return any(is_structured(part) or is_model(part) for part in parts(annotation))


def _is_of_pydantic(annotation: Any, local: Mapping[str, Any]) -> bool:
    """Whether pydantic's models, types or constraints stand in the annotation, or in its fields."""
    known: list[Any] = []
    waiting = [annotation]
    while waiting:
        for part in parts(waiting.pop()):
            if is_model(part) or _module_of(part) in _PYDANTIC:
                return True
            if is_structured(part) and part not in known:
                known.append(part)
                waiting.extend(fields_of(part, local).values())
    return False


def _module_of(part: Any) -> str:
    """The package of a type, or of a remark about it such as pydantic's Field()."""
    module: object = getattr(part if isinstance(part, type) else type(part), "__module__", "")
    return str(module).partition(".")[0]
