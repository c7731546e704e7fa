"""What JSON Schema's keywords let through and what they refuse, in which words."""

from __future__ import annotations

from typing import Any

NODE = {"properties": {"value": {"type": "integer"}, "next": {"$ref": "#/$defs/Node"}}}
DEFS = {
    "Node": NODE | {"required": ["value"]},
    "Or null": {"anyOf": [{"$ref": "#/$defs/Small"}, {"type": "null"}]},
    "Small": {"type": "integer", "maximum": 3},
    "a/b~c": {"const": 1},
}

# A schema for context.x: values that fit it, and values that do not, with what is said of them.
CASES: dict[str, tuple[Any, list[Any], dict[str, Any]]] = {
    "true": (True, [1, None, {}], {}),
    "false": (False, [], {"is not allowed": 1}),
    "no keyword": ({}, [1, None, {}], {}),
    "annotations": (
        {"title": 7, "description": "d", "default": 1, "examples": [1], "x-y": 1, "readOnly": 1}
        | {"$comment": "c", "deprecated": True, "discriminator": {"propertyName": "k"}},
        [1, "text"],
        {},
    ),
    "format": ({"type": "string", "format": "email"}, ["nobody"], {}),
    "null": ({"type": "null"}, [None], {"must be null, not boolean": False}),
    "boolean": ({"type": "boolean"}, [True, False], {"must be boolean, not number": 0}),
    "object": ({"type": "object"}, [{}], {"must be object, not array": []}),
    "array": ({"type": "array"}, [[]], {"must be array, not object": {}}),
    "string": ({"type": "string"}, ["", "é"], {"must be string, not null": None}),
    "number": ({"type": "number"}, [1, 1.5, -2e30], {"must be number, not string": "1"}),
    "integer": (
        {"type": "integer"},
        [1, 1.0, -3, 1e30, 12345678901234567890123],
        {"must be integer, not 1.5": 1.5, "must be integer, not boolean": True},
    ),
    "several types": (
        {"type": ["string", "null"]},
        ["", None],
        {"must be string or null, not number": 1},
    ),
    "enum": (
        {"enum": ["EUR", 1, None, {"a": [1]}]},
        ["EUR", 1.0, None, {"a": [1]}],
        {'must be one of "EUR", 1, null, {"a": [1]}, not "eur"': "eur"},
    ),
    "an enum of one": ({"enum": [1]}, [1], {"must be 1, not true": True}),
    "an enum of nothing": ({"enum": []}, [], {"must be nothing at all, not 1": 1}),
    "const": ({"const": {"a": 1, "b": 2}}, [{"b": 2, "a": 1.0}], {
        'must be {"a": 1, "b": 2}, not {"a": 1}': {"a": 1},
    }),
    "const null": ({"const": None}, [None], {"must be null, not 0": 0}),
    "minimum": ({"minimum": 2}, [2, 2.5, "1"], {"must be at least 2, not 1.99": 1.99}),
    "exclusiveMinimum": ({"exclusiveMinimum": 2}, [2.01], {"must be more than 2, not 2": 2}),
    "maximum": (
        {"maximum": 9007199254740993},
        [9007199254740993],
        {"must be at most 9007199254740993, not 9007199254740994": 9007199254740994},
    ),
    "exclusiveMaximum": ({"exclusiveMaximum": 2}, [1.9, -5], {"must be less than 2, not 2": 2}),
    "multipleOf": (
        {"multipleOf": 0.01},
        [0.07, 4.35, 19.99, -1, 1e20, "x"],
        {"must be a multiple of 0.01, not 0.075": 0.075},
    ),
    "minLength": (
        {"minLength": 2},
        ["ab", "é😀", 1, []],
        {"must have 2 or more characters, not 1": "😀"},
    ),
    "maxLength": (
        {"maxLength": 2},
        ["", "é😀", 123, "ab"],
        {"must have 2 or fewer characters, not 3": "abc"},
    ),
    "a bound that is a whole number with a point": ({"maxLength": 1.0}, ["a"], {
        "must have 1.0 or fewer characters, not 2": "ab",
    }),
    "minItems": ({"minItems": 1}, [[0], {}], {"must have 1 or more items, not 0": []}),
    "maxItems": ({"maxItems": 1}, [[], [0], "ab"], {"must have 1 or fewer items, not 2": [1, 2]}),
    "uniqueItems": (
        {"uniqueItems": True},
        [[], [1, True, "1", [1], None], "aa"],
        {"must not have an item twice": [1, {"a": 1}, 1.0]},
    ),
    "uniqueItems that need not be": ({"uniqueItems": False}, [[1, 1]], {}),
    "minProperties": (
        {"minProperties": 1},
        [{"a": 1}, [], 1],
        {"must have 1 or more properties, not 0": {}},
    ),
    "maxProperties": (
        {"maxProperties": 1},
        [{"a": 1}, [1, 2]],
        {"must have 1 or fewer properties, not 2": {"a": 1, "b": 2}},
    ),
    "required": (
        {"required": ["a", "b c"]},
        [{"a": None, "b c": 1}, ["a"], "a", 1],
        {".a is missing": {"b c": 1}, '["b c"] is missing': {"a": 1, "b_c": 1}},
    ),
    "dependentRequired": (
        {"dependentRequired": {"card": ["owner", "code"]}},
        [{}, {"owner": 1}, {"card": 1, "owner": 1, "code": 1}, "card"],
        {".code is missing, and needed with card": {"card": 1, "owner": 1}},
    ),
    "properties": (
        {"properties": {"a": {"type": "string"}, "odd key": {"minimum": 0}}},
        [{}, {"a": "", "c": 1}, ["a"], "a"],
        {".a must be string, not null": {"a": None}, '["odd key"] must be at least 0, not -1': {
            "odd key": -1,
        }},
    ),
    "properties that are not allowed": (
        {"properties": {"a": False}},
        [{}, {"b": 1}],
        {".a is not allowed": {"a": None}},
    ),
    "patternProperties": (
        {"patternProperties": {"^n_": {"type": "number"}, "_s$": {"type": "string"}}},
        [{"n_a": 1, "a_s": "", "b": None}],
        {".n_1 must be number, not string": {"n_1": ""}, ".s_s must be string, not number": {
            "s_s": 1,
        }},
    ),
    "no additionalProperties": (
        {"properties": {"a": {}}, "patternProperties": {"^x-": {}}, "additionalProperties": False},
        [{}, {"a": 1, "x-y": 2}, [1]],
        {".A is not allowed": {"A": 1, "a": 1}, '["a-x"] is not allowed': {"a-x": 1}},
    ),
    "additionalProperties of a kind": (
        {"properties": {"a": {}}, "additionalProperties": {"type": "integer"}},
        [{"a": "", "b": 1}],
        {".b must be integer, not string": {"a": 1, "b": ""}},
    ),
    "propertyNames": (
        {"propertyNames": {"maxLength": 1}},
        [{"a": 1, "é": 1}, ["ab"]],
        {".ab as a name must have 1 or fewer characters, not 2": {"ab": 1}},
    ),
    "items": (
        {"items": {"type": "integer"}},
        [[], [1, 2.0], {"a": ""}],
        {"[1] must be integer, not string": [1, "x"]},
    ),
    "items of items": (
        {"items": {"items": {"properties": {"a": {"const": 1}}}}},
        [[[], [{"a": 1}]]],
        {"[1][0].a must be 1, not 2": [[], [{"a": 2}]]},
    ),
    "prefixItems": (
        {"prefixItems": [{"type": "integer"}, {"type": "string"}]},
        [[], [1], [1, "", None]],
        {"[1] must be string, not number": [1, 2]},
    ),
    "prefixItems and the rest": (
        {"prefixItems": [{"type": "integer"}], "items": {"type": "string"}},
        [[1], [1, "a", "b"]],
        {"[0] must be integer, not string": ["a"], "[2] must be string, not number": [1, "a", 2]},
    ),
    "prefixItems and no more": (
        {"prefixItems": [True], "items": False},
        [[], [1]],
        {"[1] is not allowed": [1, 2]},
    ),
    "contains": (
        {"contains": {"type": "string"}},
        [["a"], [1, "a"], {}],
        {"must contain 1 or more fitting items, not 0": [1, None]},
    ),
    "minContains and maxContains": (
        {"contains": {"type": "string"}, "minContains": 2, "maxContains": 3},
        [["a", 1, "b"], ["a", "b", "c"]],
        {
            "must contain 2 or more fitting items, not 1": ["a", 1],
            "must contain 3 or fewer fitting items, not 4": ["a", "b", "c", "d"],
        },
    ),
    "a minContains of nothing": ({"contains": False, "minContains": 0}, [[], [1]], {}),
    "minContains without contains": ({"minContains": 2, "maxContains": 0}, [[1]], {}),
    "allOf": (
        {"allOf": [{"minimum": 1}, {"maximum": 3}]},
        [1, 3, "x"],
        {"must be at least 1, not 0": 0, "must be at most 3, not 4": 4},
    ),
    "anyOf of one possible type": (
        {"anyOf": [{"properties": {"a": {"type": "string"}}, "type": "object"}, {"type": "null"}]},
        [None, {}],
        {".a must be string, not number": {"a": 1}},
    ),
    "anyOf of other types": (
        {"anyOf": [{"type": "null"}, {"enum": ["a"]}, {"const": 1}]},
        [None, "a", 1],
        {"must be string or number or null, not array": []},
    ),
    "anyOf of several possible types": (
        {"anyOf": [{"properties": {"a": False, "c": False}}, {"required": ["b"]}]},
        [{"b": 1, "a": 1}, {}, 7],
        {
            "fits no alternative: b is missing; or a is not allowed and c is not allowed": {
                "a": 1,
                "c": 1,
            },
        },
    ),
    "oneOf": (
        {"oneOf": [{"type": "integer"}, {"minimum": 2}]},
        [1, 2.5, "x"],
        {
            "fits 2 alternatives instead of exactly one": 3,
            "must be at least 2, not 1.5": 1.5,
        },
    ),
    "oneOf of nothing": ({"oneOf": [False]}, [], {"must be nothing at all, not number": 1}),
    "not": (
        {"not": {"required": ["a"], "type": "object"}},
        [{}, {"b": 1}, "a"],
        {"fits what its schema excludes with not": {"a": 1}},
    ),
    "if then else": (
        {
            "if": {"properties": {"kind": {"const": "card"}}, "required": ["kind"]},
            "then": {"required": ["number"]},
            "else": {"required": ["iban"]},
        },
        [{"kind": "card", "number": 1}, {"iban": 1}, {"kind": "bank", "iban": 2}],
        {".number is missing": {"kind": "card", "iban": 1}, ".iban is missing": {"number": 1}},
    ),
    "then and else without if": ({"then": False, "else": False}, [1], {}),
    "if without then": ({"if": {"minimum": 3}, "else": {"maximum": 1}}, [3, 1], {
        "must be at most 1, not 2": 2,
    }),
    "dependentSchemas": (
        {"dependentSchemas": {"a": {"required": ["b"]}}},
        [{}, {"b": 1}, {"a": 1, "b": 1}, "a"],
        {".b is missing": {"a": 1}},
    ),
    "$ref": (
        {"$ref": "#/$defs/Small", "minimum": 1},
        [1, 3],
        {"must be at most 3, not 4": 4, "must be at least 1, not 0": 0},
    ),
    "$ref with a space": ({"$ref": "#/$defs/Or%20null"}, [None, 3], {
        "must be at most 3, not 4": 4,
    }),
    "$ref with escapes": ({"$ref": "#/$defs/a~1b%7Ec"}, [1], {}),
    "$ref with all escapes": ({"$ref": "#/%24defs/a~1b~0c"}, [1], {"must be 1, not 2": 2}),
    "$ref that comes back": (
        {"$ref": "#/$defs/Node"},
        [{"value": 1, "next": {"value": 2, "next": {"value": 3}}}],
        {".next.next.value is missing": {"value": 1, "next": {"value": 2, "next": {}}}},
    ),
    "$ref to the whole": ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, [{"x": None}, None], {
        '.x must be object or null, not string': {"x": "y"},
    }),
}  # fmt: skip
