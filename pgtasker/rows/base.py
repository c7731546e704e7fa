"""What all rows have in common: they are read by the names of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field
from typing import Any, ClassVar, Self

Json = Any  # what a jsonb value becomes: dict, list, str, int, float, bool or None


class Row:
    """A row that is read by the names of its fields; further columns are ignored."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """The row as an instance of this class."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})
