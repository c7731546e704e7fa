"""What may be asked of the columns of a view: their names, and the types of their values.

Responsible for one-line errors before anything is sent; a value of the wrong type would reach the
database as an operator that it does not have.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from pgtasker.rows import Row

_NUMBERS = (int, float, Decimal)
_WORDS: dict[type, str] = {
    int: "a number",
    float: "a number",
    Decimal: "a number",
    bool: "true or false",
    str: "text",
    datetime: "a datetime with a timezone",
}


def columns_of(row: type[Row]) -> dict[str, Any]:
    """The columns of a row, each with the type of its values (a list is one)."""
    hints = get_type_hints(row)
    return {name: _plain(hints[name]) for name in row.__dataclass_fields__}


def require_scalar(row: type[Row], name: str) -> str:
    """The name of a column that can be compared; raises ValueError if it is none."""
    known = [column for column, kind in columns_of(row).items() if get_origin(kind) is not list]
    if name not in known:
        raise ValueError(f"there is no column {name!r} to go by: it is one of {', '.join(known)}")
    return name


def checked(column: str, value: object, kind: type) -> object:
    """The value, if it is null or of the column's type; raises ValueError otherwise."""
    if value is None:
        return None
    fits = isinstance(value, _NUMBERS if kind in _NUMBERS else kind)
    if isinstance(value, bool) != (kind is bool):
        fits = False
    if isinstance(value, datetime) and value.tzinfo is None:
        fits = False
    if not fits:
        raise ValueError(f"{column} is {_WORDS[kind]}, not {value!r}")
    return value


def whole_number(what: str, value: object, *, least: int | None = 1, most: int = 2**63 - 1) -> int:
    """The value, if it is a whole number between these; raises ValueError otherwise."""
    lowest = -most if least is None else least
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= most:
        limits = "" if least is None else f" from {least} to {most}"
        raise ValueError(f"{what} must be a whole number{limits}, not {value!r}")
    return value


def _plain(hint: Any) -> Any:
    """A type without `| None`."""
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return kinds[0] if NoneType in get_args(hint) else hint
