"""What a call of the SQL surface is, and how it is sent.

A `Call` is only data: what to send and how to read the answer; `execute` and `execute_async` send
it, qualified with the schema of the install and never by way of the search_path. Which calls there
are is left to the modules beside this one.

An argument that is None is not sent, so that the defaults of the database hold.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, LiteralString, TypeVar

from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal
from psycopg.types.json import Jsonb, JsonbLoader

from pgtasker import payload
from pgtasker.errors import translated
from pgtasker.rows import Json, Row

T = TypeVar("T")
R = TypeVar("R", bound=Row)
Rows = Sequence[DictRow]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One statement: `{schema}` in its text is the schema of the install."""

    text: SQL
    arguments: Mapping[str, object]
    read: Callable[[Rows], T]
    parts: Mapping[str, Composable] | Callable[[Identifier], Mapping[str, Composable]] | None = None

    def sent(self, schema: str) -> Composed | bytes:
        """The statement as it is sent: composed once, unless it has parts of its own."""
        return self.query(schema) if self.parts else _composed(self.text.as_string(), schema)

    def query(self, schema: str) -> Composed:
        """The statement for an install in this schema."""
        name = _identifier(schema)
        parts = self.parts(name) if callable(self.parts) else self.parts or {}
        return self.text.format(schema=name, **parts)

    def shown(self, schema: str) -> str:
        """The statement on one line with its arguments in place, for a person to read."""
        arguments = self.arguments
        return re.sub(
            r"%\((\w+)\)s|%%",
            lambda found: Literal(arguments[found[1]]).as_string() if found[1] else "%",
            " ".join(self.query(schema).as_string().split()),
        )


def execute(connection: Connection[Any], schema: str, call: Call[T]) -> T:
    """Send a call and read its answer."""
    with translated(), connection.cursor(row_factory=dict_row) as cursor:
        _read_json(cursor)
        cursor.execute(call.sent(schema), call.arguments)
        return call.read(cursor.fetchall() if cursor.description else [])


async def execute_async(connection: AsyncConnection[Any], schema: str, call: Call[T]) -> T:
    """Send a call and read its answer, on an asynchronous connection."""
    with translated():
        async with connection.cursor(row_factory=dict_row) as cursor:
            _read_json(cursor)
            await cursor.execute(call.sent(schema), call.arguments)
            return call.read(await cursor.fetchall() if cursor.description else [])


# How answers are read.


def _read_json(cursor: Cursor[Any] | AsyncCursor[Any]) -> None:
    """Whatever the connection makes of jsonb: Django's leaves it as text, for its own fields."""
    cursor.adapters.register_loader("jsonb", JsonbLoader)


def nothing(rows: Rows) -> None:
    return None


def value(rows: Rows) -> Any:
    return next(iter(rows[0].values()))


def column(rows: Rows) -> list[Any]:
    return [next(iter(row.values())) for row in rows]


def one(row_class: type[R]) -> Callable[[Rows], R]:
    return lambda rows: row_class.read(rows[0])


def all_of(row_class: type[R]) -> Callable[[Rows], list[R]]:
    return lambda rows: [row_class.read(row) for row in rows]


# How calls are built.


def as_json(value: Json, what: str) -> Jsonb:
    text = payload.dump(value, what)  # now, so that the error comes before anything is sent
    return Jsonb(value, dumps=lambda _: text)


def function(
    name: LiteralString,
    read: Callable[[Rows], T],
    columns: LiteralString = "*",
    /,
    **arguments: object,
) -> Call[T]:
    """A call of a function of the surface by named notation."""
    given = {key: value for key, value in arguments.items() if value is not None}
    return Call(_invocation(name, columns, tuple(given)), given, read)


@functools.cache
def _invocation(
    name: LiteralString, columns: LiteralString, keys: tuple[LiteralString, ...]
) -> SQL:
    notation = ", ".join([f'"{key}" => %({key})s' for key in keys])
    return SQL(f'select {columns} from {{schema}}."{name}"({notation})')


@functools.lru_cache(maxsize=512)
def _composed(text: LiteralString, schema: str) -> bytes:
    return SQL(text).format(schema=_identifier(schema)).as_bytes()


def _identifier(schema: str) -> Identifier:
    """The name in a statement that is sent with arguments, where a % would begin a placeholder."""
    return Identifier(schema.replace("%", "%%"))
