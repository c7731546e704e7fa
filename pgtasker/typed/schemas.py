"""JSON Schemas as they are stored with a workflow.

Responsible for leaving out what does not decide whether a value fits. Texts for readers change with
every docstring and defaults may differ between machines; in the stored document each would be
another content of the same version.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_REMARKS = ("title", "description", "default", "examples", "deprecated")
_OF_NAMES = ("properties", "$defs", "patternProperties", "dependentSchemas")  # name -> schema
_OF_VALUES = ("enum", "const")  # what stands there is no schema


def bare(schema: Any) -> Any:
    """The schema without remarks."""
    if isinstance(schema, list):
        return [bare(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        keyword: _bare_below(keyword, value)
        for keyword, value in schema.items()
        if keyword not in _REMARKS
    }


def inlined(schema: Schema) -> Schema:
    """The schema with the definitions it refers to in their places; none may refer to itself."""
    definitions = schema.get("$defs", {})

    def replaced(part: Any) -> Any:
        if isinstance(part, list):
            return [replaced(inner) for inner in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return replaced(definitions[part["$ref"].rpartition("/")[2]])
        return {keyword: replaced(value) for keyword, value in part.items() if keyword != "$defs"}

    result: Schema = replaced(schema)
    return result


def _bare_below(keyword: str, value: Any) -> Any:
    if keyword in _OF_VALUES:
        return value
    if keyword in _OF_NAMES and isinstance(value, dict):
        return {name: bare(inner) for name, inner in value.items()}
    return bare(value)
