"""What the checks share: what they look at, and what they say.

Responsible for asking. What is asked, and what to do about the answers, is left to the checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg.rows import tuple_row

from pgtasker import surface
from pgtasker.client import Client
from pgtasker.dsn import connection_string

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; `advice` says what to do about what is not ok."""

    check: str
    level: Level
    text: str
    advice: str = ""


Result = tuple[Level, str, str]
OK: Level = "ok"
WARNING: Level = "warning"
PROBLEM: Level = "problem"


@dataclass(frozen=True, slots=True)
class Patient:
    """What the checks look at."""

    dsn: str
    schema: str
    connection: psycopg.Connection[Any]

    def ask(self, query: str, *arguments: object) -> list[Any]:
        """The rows of a query about the server."""
        with self.connection.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(query.encode(), arguments or None).fetchall()

    def call(self, call: surface.Call[Any]) -> Any:
        """What the engine answers."""
        return Client(self.connection, schema=self.schema).call(call)

    def settings(self, *names: str) -> dict[str, str]:
        """What settings of this session are, as text; those that the server does not know: ""."""
        query = (
            "select name, coalesce(current_setting(name, true), '') from unnest(%s::text[]) as name"
        )
        return dict(self.ask(query, list(names)))

    def another(self) -> psycopg.Connection[Any]:
        """One more connection."""
        return psycopg.connect(connection_string(self.dsn), autocommit=True)


Check = Callable[[Patient], Iterator[Result]]
