"""JSON that jsonb can store.

Responsible for turning a Python value into such text or saying why it cannot be. How large it may
be is left to the database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from pgtasker.errors import PayloadError

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def dump(value: object, what: str = "value") -> str:
    """The value as JSON text; `what` names it in the error.

    Refused, beside what JSON does not know: NaN and infinities, the character NUL and lone
    surrogates (as in the names of some files), none of which jsonb can hold.
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
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


def storable(text: str) -> str:
    """The text with what jsonb cannot hold replaced."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def object_of(members: Mapping[str, str]) -> str:
    """A JSON object whose values are JSON text already."""
    return "{" + ",".join(f'"{name}":{text}' for name, text in members.items()) + "}"
