"""What nobody is to read in passing: values of configured names, in what people are shown.

Responsible for finding them, at any depth, and where their text occurs in others, such as the
message of an error. The data itself stays as it is: whoever may call `get_task` can read all of it.

The names are those of the setting `redact_keys`, which runners read for their logs when they begin,
and those of PGTASKER_REDACT_KEYS. Upper case, `_` and `-` do not matter: `apiKey` is `api_key`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

T = TypeVar("T")

ENVIRONMENT = "PGTASKER_REDACT_KEYS"
SETTING = "redact_keys"
HIDDEN = "***"
SHORTEST = 6  # characters; to hide a shorter text wherever it occurs would garble the rest


class Redaction:
    """Hides the values of some names; `learn` first of all in which they may occur."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: set[str] = set()
        self._texts: set[str] = set()
        self.add(names)

    @classmethod
    def configured(cls, setting: Callable[[str], str] | None = None) -> Redaction:
        """By the environment, and by the setting of an install if there is one to ask."""
        texts = [os.environ.get(ENVIRONMENT, ""), *([setting(SETTING)] if setting else [])]
        return cls(name for text in texts for name in text.split(","))

    def add(self, names: Iterable[str]) -> None:
        """Hide the values of these names as well."""
        self._names |= {plain for name in names if (plain := _plain(name))}

    def hides(self, name: object) -> bool:
        """Whether the values of this name are hidden."""
        return isinstance(name, str) and bool(self._names) and _plain(name) in self._names

    def learn(self, *values: object) -> Redaction:
        """Remember what is hidden in JSON or in rows, so that its text is hidden elsewhere."""
        if self._names:
            self._texts.update(text for text in self._found(values) if len(text) >= SHORTEST)
        return self

    def __call__(self, value: T) -> T:
        """JSON, or a row, or a list of either, as people may see it."""
        return cast(T, self._shown(value)) if self._names else value

    def _found(self, value: object) -> Iterator[str]:
        if is_dataclass(value) and not isinstance(value, type):
            for field in fields(value):
                yield from self._found(getattr(value, field.name))
        elif isinstance(value, Mapping):
            for name, inner in value.items():
                yield from _texts(inner) if self.hides(name) else self._found(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                yield from self._found(inner)

    def _shown(self, value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            given = {field.name: getattr(value, field.name) for field in fields(value)}
            return replace(value, **{name: self._shown(inner) for name, inner in given.items()})
        if isinstance(value, Mapping):
            return {
                name: HIDDEN if self.hides(name) and inner is not None else self._shown(inner)
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [self._shown(inner) for inner in value]
        if isinstance(value, str):
            for text in sorted(self._texts, key=len, reverse=True):
                value = value.replace(text, HIDDEN)
        return value


def _plain(name: str) -> str:
    return name.strip().casefold().replace("_", "").replace("-", "")


def _texts(value: object) -> Iterator[str]:
    """All that is said in a hidden value."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
