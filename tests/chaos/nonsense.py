"""Values that no caller should give, from a seed: for parameters of every type, and for documents.

Responsible for the values; who is given them, and what must come of it, is left to the tests.
"""

from __future__ import annotations

import json
import random
from typing import Any

TEXTS = [
    "", " ", "default", "flow", "a", "0.1.0", "'", "'; drop table tasks; --", '"', "\\", "%", "%s",
    "$1", "{}", "null", "\t\r\n", "\x01\x1b[31m", "ÄÖÜß", "日本語", "🦄" * 20, "\u202e", "\ufeff",
    "e\u0301", "x" * 64, "x" * 10_000, "-1", "1e400", "1 s", "lease", "99999999999999999999",
    "pg_temp", "9" * 400 + ".0.0", "1.0.0-" + "a." * 200,
]  # fmt: skip
NUMBERS = [0, 1, 2, 3, 5, 7, -1, 10_000, 10_001, 2**31 - 1, 2**31, -(2**31), 2**63 - 1, -(2**63)]
INTERVALS = [
    "0", "1 s", "-1 s", "1 microsecond", "1 mon", "-1 mon 31 days", "99 years", "101 years",
    "178000000 years", "-178000000 years", "infinity", "-infinity",
]  # fmt: skip
TIMES = [
    "now", "infinity", "-infinity", "4713-01-01 00:00:00+00 BC", "294276-12-31 23:59:59+00",
    "1970-01-01 00:00:00+00", "2030-01-01 00:00:00+00", "2030-01-01 00:00:00+15",
]  # fmt: skip
KEYS = [
    "name", "namespace", "version", "steps", "depends_on", "queue", "priority", "timeout", "inputs",
    "retry_limit", "retryable", "skippable", "backoff", "base", "factor", "max", "jitter",
    "context_schema", "type", "required", "properties", "pattern", "$ref", "handler", "message",
    "workflow_step_id", "claim_id", "outcome", "results", "error", "retry_after", "delay", "",
    "$schema", "items", "allOf", "not", "enum", "description", "x" * 300, "🦄",
]  # fmt: skip
WORDS = ["object", "string", "complete", "fail", "release", "a", "b", "flow", "^[a-z", "(", "#/a"]
OUTCOMES = ["complete", "fail", "release", "ended", ""]


class Nonsense:
    """A source of values; the same seed gives the same ones."""

    def __init__(self, seed: int | str) -> None:
        self.random = random.Random(seed)

    def of(self, type_name: str) -> Any:
        """A value of a type of PostgreSQL, as its text (None: null)."""
        if type_name.endswith("[]"):
            return self._list(type_name.removesuffix("[]"))
        if self.random.randrange(8) == 0:
            return None
        if type_name in ("bigint", "integer"):
            return str(self.random.choice(NUMBERS))
        if type_name == "jsonb":
            return self.json_text()
        choices: dict[str, list[str]] = {
            "text": TEXTS,
            "interval": INTERVALS,
            "boolean": ["true", "false"],
            "timestamp with time zone": TIMES,
            "double precision": ["0", "-1", "1e308", "NaN", "Infinity", "1e-308"],
        }
        return self.random.choice(choices[type_name])

    def _list(self, element: str) -> list[Any] | None:
        if self.random.randrange(8) == 0:
            return None
        length = self.random.choice([0, 1, 1, 2, 3, 500])
        return [self.of(element) for _ in range(length)]

    def json_text(self) -> str:
        """A JSON text: usually one that parses, of any shape."""
        kind = self.random.randrange(12)
        if kind == 0:
            return self.random.choice(['{"a": ', "{", "nul", '"\\u0000"', '"\\ud800"', "1e999999"])
        if kind == 1:
            depth = self.random.choice([100, 1000, 100_000])
            return "[" * depth + "]" * depth
        if kind == 2:
            depth = self.random.choice([100, 3000])
            return '{"a":' * depth + "1" + "}" * depth
        if kind < 6:
            return json.dumps(self.definition())
        if kind < 8:
            return json.dumps(self.outcomes())
        return json.dumps(self.value(3))

    def value(self, depth: int) -> Any:
        """A JSON value, no deeper than that."""
        pick = self.random.randrange(10 if depth else 6)
        match pick:
            case 0:
                return None
            case 1:
                return self.random.choice([True, False])
            case 2:
                return self.random.choice([*NUMBERS, 0.5, -0.1, 1e300, 10**400])
            case 3:
                return self.random.choice(TEXTS)
            case 4 | 5:
                return self.random.choice(WORDS)
            case 6 | 7:
                return [self.value(depth - 1) for _ in range(self.random.randrange(4))]
        members = self.random.sample(KEYS, self.random.randrange(5))
        return {key: self.value(depth - 1) for key in members}

    def definition(self) -> Any:
        """A workflow's definition, right but for a few things."""
        names = ["a", "b", "c"]
        document: dict[str, Any] = {
            "name": "fuzzed",
            "version": "1.0.0",
            "steps": [
                {"name": name, "depends_on": names[:place], "retry_limit": 3}
                for place, name in enumerate(names)
            ],
        }
        for _ in range(self.random.randrange(4)):
            self._spoil(document)
        return document

    def outcomes(self) -> Any:
        """A batch of outcomes, right but for a few things."""
        batch: list[Any] = [
            {
                "workflow_step_id": self.random.choice([1, 2, 3, *NUMBERS]),
                "claim_id": self.random.choice([1, 2, 3, *NUMBERS]),
                "outcome": self.random.choice(OUTCOMES),
                "error": {"message": "boom"},
            }
            for _ in range(self.random.randrange(4))
        ]
        for outcome in batch:
            if self.random.randrange(2):
                self._spoil(outcome)
        return batch

    def _spoil(self, document: dict[str, Any]) -> None:
        """Give one of its places another value, remove it, or add one."""
        places: list[Any] = [document]
        steps = document.get("steps")
        if isinstance(steps, list):
            places += [step for step in steps if isinstance(step, dict)]
        place = self.random.choice(places)
        key = self.random.choice([*place, *KEYS])
        if self.random.randrange(3) == 0:
            place.pop(key, None)
        else:
            place[key] = self.value(2)
