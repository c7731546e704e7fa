"""JSON that jsonb can store.

Responsible for turning a Python value into such text or saying why it cannot be. How large it may
be is left to the database.
"""

from __future__ import annotations

import json
import re
from dataclasses import is_dataclass
from pathlib import PurePath
from typing import Any

import msgspec

from pgtasker.errors import PayloadError

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def dump(value: object, what: str = "value") -> str:
    """The value as JSON text; `what` names it in the error.

    Instances of dataclasses and of pydantic models may stand anywhere in it. Refused, beside what
    JSON does not know: NaN and infinities, the character NUL and lone surrogates (as in the names
    of some files), none of which jsonb can hold.
    """
    try:
        text = _encode(value)
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError as error:
        lone = error.object[error.start]
        raise PayloadError(
            f"{what} cannot be stored as json: text holds the lone surrogate {lone!a}"
        ) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(f"{what} cannot be stored as json: {error}") from error
    if "\\u0000" in text and _NUL.search(text):
        raise PayloadError(f"{what} cannot be stored as json: text holds the character \\u0000")
    return text


def written(value: object, what: str = "value") -> Any:
    """The value as it would be read back from JSON, for types that know more than JSON does.

    Times, decimals, sets, enums and their like become what `typed` reads them from.
    """
    try:
        return msgspec.to_builtins(value, str_keys=True, order="deterministic", enc_hook=_other)
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(f"{what} cannot be stored as json: {error}") from error


def storable(text: str) -> str:
    """The text with what jsonb cannot hold replaced."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _instance(value: Any) -> Any:
    if hasattr(type(value), "__pydantic_serializer__"):
        from pydantic_core import to_jsonable_python  # whoever has a model has pydantic

        return to_jsonable_python(value, by_alias=True)
    if is_dataclass(value) and not isinstance(value, type):
        return written(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _other(value: Any) -> Any:
    return str(value) if isinstance(value, PurePath) else _instance(value)


_encode = json.JSONEncoder(
    allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_instance
).encode
