"""context_schema against another implementation of JSON Schema, on schemas nobody thought of."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from psycopg.types.json import Jsonb

from ..support.databases import Databases
from ..support.servers import NEWEST
from ..support.session import Session

EXAMPLES = int(os.environ.get("PGTASKER_SCHEMA_EXAMPLES", "0"))
"""How many examples to try: with new random ones each time. Unset: a few, and always the same."""

NAMES = st.sampled_from(["a", "b", "ab", "odd key", "é"])
TEXTS = st.sampled_from(["", "a", "ab", "abc", "1", "é", "odd key", "a\nb"])
NUMBERS = st.integers(-3, 6) | st.sampled_from([0.5, 1.0, 1.5, -0.5, 2.0, 1e20])
COUNTS = st.integers(0, 3)
PATTERNS = st.sampled_from(["^a", "b$", r"\d", "^.$", "a|b", "^(ab)*$", r"\bb", "^[^a]*$", r"\x61"])
TYPES = st.sampled_from(["null", "boolean", "object", "array", "number", "string", "integer"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Up to four keywords, with these schemas within them."""
    several = st.lists(inner, min_size=1, max_size=3)
    names = st.lists(NAMES, max_size=3, unique=True)
    operands: dict[str, st.SearchStrategy[Any]] = {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
        "enum": st.lists(VALUES, max_size=3),
        "const": VALUES,
        "multipleOf": st.sampled_from([1, 2, 3, 0.5]),
        "pattern": PATTERNS,
        "uniqueItems": st.booleans(),
        "required": names,
        "dependentRequired": st.dictionaries(NAMES, names, max_size=2),
        "properties": st.dictionaries(NAMES, inner, max_size=3),
        "patternProperties": st.dictionaries(PATTERNS, inner, max_size=2),
        "dependentSchemas": st.dictionaries(NAMES, inner, max_size=2),
        "$ref": st.sampled_from(["#/$defs/A", "#/$defs/B"]),
    }
    bounds = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    operands |= dict.fromkeys(bounds, NUMBERS)
    sizes = ("Length", "Items", "Properties", "Contains")
    operands |= {f"{end}{size}": COUNTS for end in ("min", "max") for size in sizes}
    operands |= dict.fromkeys(("prefixItems", "allOf", "anyOf", "oneOf"), several)
    single = ("additionalProperties", "propertyNames", "items", "contains")
    operands |= dict.fromkeys((*single, "not", "if", "then", "else"), inner)
    keywords = [
        operand.map(lambda value, key=key: (key, value)) for key, operand in operands.items()
    ]
    return st.lists(st.one_of(keywords), max_size=4).map(dict)


SCHEMAS = st.recursive(st.booleans() | schemas(st.booleans()), schemas, max_leaves=8)
DOCUMENTS = st.tuples(schemas(SCHEMAS), SCHEMAS, SCHEMAS).map(
    lambda found: found[0] | {"$defs": {"A": found[1], "B": found[2]}}
)


def test_another_implementation_agrees(server: Databases, db: Session):
    """On which values fit, for any schema that register_workflow would accept; and it accepts all
    but those that never come to an end."""

    @settings(
        max_examples=EXAMPLES or (100 if server.label == NEWEST else 30),
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(DOCUMENTS, st.lists(VALUES, min_size=1, max_size=8))
    def agree(schema: dict[str, Any], values: list[Any]) -> None:
        refused = db.column("select _context_schema_problems(%s)", Jsonb(schema))
        if refused:
            assert all("leads back to itself" in problem for problem in refused)
            return
        validator = Draft202012Validator(schema)
        found = db.column(
            "select distinct place from _context_errors(%s, %s) order by place",
            Jsonb(schema),
            [Jsonb(value) for value in values],
        )
        assert found == [
            place for place, value in enumerate(values, 1) if not validator.is_valid(value)
        ]

    agree()
