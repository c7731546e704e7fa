"""JSON for jsonb: what can be stored, and what is said of the rest."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgtasker import PayloadError, payload

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def holds_nul(value: Any) -> bool:
    """Whether any text in the value holds the character NUL."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(map(holds_nul, [*value.keys(), *value.values()]))
    return isinstance(value, list) and any(map(holds_nul, value))


@given(VALUES)
def test_json_comes_back_as_it_was_unless_it_holds_nul(value: Any):
    """Exactly the values with NUL in a text are refused; all others survive the text."""
    if holds_nul(value):
        with pytest.raises(PayloadError, match="u0000"):
            payload.dump(value)
    else:
        assert json.loads(payload.dump(value)) == value


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "a\\", "\\u00001"])
def test_a_backslash_is_not_mistaken_for_nul(text: str):
    """Text that merely looks like an escaped NUL is stored."""
    assert json.loads(payload.dump(text)) == text


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({1, 2}, "Object of type set is not JSON serializable"),
        (math.nan, "not JSON compliant"),
        ([math.inf], "not JSON compliant"),
        ({(1, 2): 3}, "keys must be str"),
        ("caf\udce9", "lone surrogate"),
    ],
)
def test_what_json_cannot_hold_is_named(value: object, why: str):
    """The error says what of which value is wrong."""
    with pytest.raises(PayloadError, match=f"the result cannot be stored as json: .*{why}"):
        payload.dump(value, "the result")


def test_a_circle_is_refused():
    """A value that contains itself ends in an error, not in a crash."""
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(PayloadError):
        payload.dump(circle)


def test_storable_text_replaces_what_jsonb_cannot_hold():
    """NUL and lone surrogates become visible replacements, so that a traceback is kept."""
    assert payload.storable("a\0b\udce9c") == "a\N{REPLACEMENT CHARACTER}b?c"
