"""Putting the engine into a database, and taking it out again.

Responsible for turning the files under pgtasker/schema into one script for a schema of any name,
for running it in one transaction, and for removing exactly what it created. What the objects are is
said by their files alone: their names are read from there. Finding the database is left to others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from pgtasker.errors import PgtaskerError

OLDEST_SERVER = 150000
SCHEMA_VERSION = (
    "0.1.0"  # what an install says it is; changes with the schema, not with the package
)

_INCLUDE = re.compile(r"^\\ir +(\S+)$", re.MULTILINE)
_CREATE = re.compile(
    r"^create (?:or replace )?(?:unlogged |unique )?"
    r"(table|view|sequence|type|domain|index|function) (?:if not exists )?(\w+)",
    re.MULTILINE,
)
_SIGNATURE = re.compile(r"^comment on function\s+(\w+\([^)]*\))\s+is\b", re.MULTILINE)

# The kinds of objects, in the order in which they are dropped: their catalog, and the function that
# finds one by its name.
_CATALOGS = {
    "view": ("pg_class", "to_regclass"),
    "table": ("pg_class", "to_regclass"),
    "type": ("pg_type", "to_regtype"),
    "domain": ("pg_type", "to_regtype"),
    "sequence": ("pg_class", "to_regclass"),
    "function": ("pg_proc", "to_regprocedure"),
}

_BEGIN = """\
-- pgtasker {version}, to be run in one transaction (psql --single-transaction -v ON_ERROR_STOP=1).

do $$
begin
    perform set_config('pgtasker.caller_search_path', current_setting('search_path'), false);
    perform set_config(
        'pgtasker.schema_created',
        (not exists (select from pg_namespace where nspname = {name_literal}))::text,
        false
    );
    if current_setting('pgtasker.schema_created')::boolean then
        create schema {schema};
    end if;
end;
$$;

set search_path = {schema}, pg_temp;
"""

_END = """\
insert into settings (name, value)
values
    ('schema_version', '{version}'),
    ('schema_created', current_setting('pgtasker.schema_created'));

do $$
begin
    perform set_config('search_path', current_setting('pgtasker.caller_search_path'), false);
end;
$$;
"""

# What would be dropped with our objects although it is not part of them: whatever depends on one of
# them, or on a part of one (a row type, an index, a view's rule), without being such a part itself.
_DEPENDENTS = """
    with recursive part (classid, objid) as (
        select own.classid::regclass::oid, own.objid
        from unnest(%(catalogs)s::text[], %(oids)s::oid[]) as own (classid, objid)
        union
        select dependency.classid, dependency.objid
        from part
        join pg_depend dependency
            on dependency.refclassid = part.classid and dependency.refobjid = part.objid
        where dependency.deptype in ('a', 'i', 'P', 'S')
    )
    select distinct pg_describe_object(dependency.classid, dependency.objid, 0)
    from part
    join pg_depend dependency
        on dependency.refclassid = part.classid and dependency.refobjid = part.objid
    where dependency.deptype = 'n'
    and (dependency.classid, dependency.objid) not in (select part.classid, part.objid from part)
    order by 1
"""


class InstallError(PgtaskerError):
    """The database refused, or is not in the state for it; nothing was changed."""


class AlreadyInstalledError(InstallError):
    """The schema holds an install; `version` is which one."""

    def __init__(self, schema: str, version: str) -> None:
        super().__init__(f"already installed in schema {schema!r}, version {version}")
        self.version = version


@dataclass(frozen=True, slots=True)
class Objects:
    """The names of what the schema's files create, by kind; functions also with their arguments."""

    names: dict[str, tuple[str, ...]]
    signatures: tuple[str, ...]

    @property
    def relations(self) -> list[str]:
        """Every name that is taken among tables, views, sequences, indexes and types."""
        return [name for kind, names in self.names.items() if kind != "function" for name in names]


def render_install(schema: str, testing: bool = False) -> str:
    """The whole install as plain SQL, without psql commands and without begin and commit.

    `testing` adds what only tests may have: a clock that they can move.
    """
    return "\n".join(text for _, text in _pieces(schema, testing))


def install(conn: psycopg.Connection[Any], schema: str, testing: bool = False) -> None:
    """Install into the schema, which is created if need be, in one transaction.

    Raises AlreadyInstalledError, or InstallError when the schema holds an object with one of our
    names or the database refuses.
    """
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        _require_server(conn)
        _lock(cursor, schema)
        version = _version(cursor, schema)
        if version is not None:
            raise AlreadyInstalledError(schema, version)
        _require_no_namesakes(cursor, schema)
        for name, text in _pieces(schema, testing):
            with _failures_in(name, text):
                cursor.execute(text.encode())


def uninstall(conn: psycopg.Connection[Any], schema: str) -> bool:
    """Drop what an install created, in one transaction, and the schema if that is then empty and
    was created by the install. Answers whether the schema went too.

    Raises InstallError when there is no install, it has another version, or something of others
    depends on it (the message names it).
    """
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        _lock(cursor, schema)
        version = _version(cursor, schema)
        if version is None:
            raise InstallError(f"nothing is installed in schema {schema!r}")
        if version != SCHEMA_VERSION:
            raise InstallError(
                f"schema {schema!r} has version {version}, this package removes {SCHEMA_VERSION}: "
                "uninstall with the package that installed it"
            )
        known = objects()
        identifier = sql.Identifier(schema)
        cursor.execute(sql.SQL("set local search_path = {}, pg_temp").format(identifier))
        tables = ", ".join(_qualified(schema, name) for name in known.names["table"])
        cursor.execute(f"lock table {tables}".encode())
        _require_no_dependents(cursor, schema, known)
        cursor.execute("select value::boolean from settings where name = 'schema_created'")
        created = bool((cursor.fetchone() or [False])[0])
        _drop(cursor, schema, known)
        return created and _drop_schema_if_empty(conn, schema)


def installed_version(conn: psycopg.Connection[Any], schema: str) -> str | None:
    """The version of the install in the schema; None if there is none."""
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        return _version(cursor, schema)


def objects() -> Objects:
    """What the schema's files create."""
    names: dict[str, tuple[str, ...]] = {}
    signatures: list[str] = []
    for _, text in _files(testing=True):
        for kind, name in _CREATE.findall(text):
            names[kind] = tuple(dict.fromkeys((*names.get(kind, ()), name)))
        signatures += _SIGNATURE.findall(text)
    return Objects(names, tuple(dict.fromkeys(signatures)))


# Reading the files


def _source() -> Traversable:
    return files("pgtasker") / "schema"


def _files(testing: bool) -> Iterator[tuple[str, str]]:
    """The files in load order, each with its text."""
    source = _source()
    for name in _INCLUDE.findall((source / "install.sql").read_text("utf-8")):
        yield name, source.joinpath(*name.split("/")).read_text("utf-8")
    if testing:
        for file in sorted((source / "testing").iterdir(), key=lambda file: file.name):
            yield f"testing/{file.name}", file.read_text("utf-8")


def _pieces(schema: str, testing: bool) -> Iterator[tuple[str, str]]:
    quoted = {
        "schema": sql.Identifier(schema).as_string(None),
        "name_literal": sql.quote(schema),
        "version": SCHEMA_VERSION,
    }
    yield "the opening", _BEGIN.format(**quoted)
    for name, text in _files(testing):
        yield name, f"-- {name}\n\n{text}"
    yield "the end", _END.format(**quoted)


# Asking the database


def _require_server(conn: psycopg.Connection[Any]) -> None:
    if conn.info.server_version < OLDEST_SERVER:
        version = conn.info.parameter_status("server_version")
        raise InstallError(f"this server is PostgreSQL {version}: pgtasker needs 15 or newer")


def _lock(cursor: psycopg.Cursor[Any], schema: str) -> None:
    """One install or uninstall of a schema at a time."""
    cursor.execute(
        "select pg_advisory_xact_lock(hashtextextended('pgtasker install ' || %s, 0))", [schema]
    )


def _version(cursor: psycopg.Cursor[Any], schema: str) -> str | None:
    cursor.execute(
        """
        select count(*) = 2
        from pg_namespace namespace
        join pg_class relation on relation.relnamespace = namespace.oid
        join pg_attribute attribute on attribute.attrelid = relation.oid
        where namespace.nspname = %s
        and relation.relname = 'settings'
        and relation.relkind = 'r'
        and attribute.attname in ('name', 'value')
        and attribute.atttypid = 'text'::regtype
        """,
        [schema],
    )
    if cursor.fetchone() != (True,):
        return None
    settings = sql.Identifier(schema, "settings")
    cursor.execute(sql.SQL("select value from {} where name = 'schema_version'").format(settings))
    row = cursor.fetchone()
    return None if row is None else str(row[0])


def _require_no_namesakes(cursor: psycopg.Cursor[Any], schema: str) -> None:
    known = objects()
    cursor.execute(
        """
        select pg_describe_object(found.classid, found.oid, 0)
        from pg_namespace namespace
        cross join lateral (
            select 'pg_class'::regclass::oid, relation.oid
            from pg_class relation
            where relation.relnamespace = namespace.oid and relation.relname = any (%(relations)s)
            union all
            select 'pg_type'::regclass::oid, type.oid
            from pg_type type
            where type.typnamespace = namespace.oid
            and type.typname = any (%(relations)s)
            and type.typrelid = 0
            union all
            select 'pg_proc'::regclass::oid, function.oid
            from pg_proc function
            where function.pronamespace = namespace.oid
            and function.proname = any (%(functions)s)
        ) as found (classid, oid)
        where namespace.nspname = %(schema)s
        order by 1
        """,
        {
            "schema": schema,
            "relations": known.relations,
            "functions": list(known.names.get("function", ())),
        },
    )
    found = [str(row[0]) for row in cursor.fetchall()]
    if found:
        raise InstallError(
            f"schema {schema!r} holds {_some(found)}, whose name pgtasker needs: install into "
            "another schema (--schema NAME)"
        )


def _require_no_dependents(cursor: psycopg.Cursor[Any], schema: str, known: Objects) -> None:
    catalogs: list[str] = []
    oids: list[int] = []
    for kind, (catalog, lookup) in _CATALOGS.items():
        names = known.signatures if kind == "function" else known.names.get(kind, ())
        cursor.execute(
            sql.SQL("select {}(name)::oid from unnest(%s::text[]) as name").format(
                sql.Identifier("pg_catalog", lookup)
            ),
            [[_qualified(schema, name) for name in names]],
        )
        found = [row[0] for row in cursor.fetchall() if row[0] is not None]
        catalogs += [catalog] * len(found)
        oids += found
    cursor.execute(_DEPENDENTS, {"catalogs": catalogs, "oids": oids})
    foreign = [str(row[0]) for row in cursor.fetchall()]
    if foreign:
        raise InstallError(
            f"{_some(foreign)} depends on the install in schema {schema!r}: drop it first"
        )


# Dropping


def _drop(cursor: psycopg.Cursor[Any], schema: str, known: Objects) -> None:
    """Tables and functions refer to each other, so no order would do without cascade; that nothing
    else hangs on them has been made sure of."""
    for kind in _CATALOGS:
        names = known.signatures if kind == "function" else known.names.get(kind, ())
        if names:
            targets = ", ".join(_qualified(schema, name) for name in names)
            cursor.execute(f"drop {kind} if exists {targets} cascade".encode())


def _drop_schema_if_empty(conn: psycopg.Connection[Any], schema: str) -> bool:
    try:
        with conn.transaction():
            conn.execute(sql.SQL("drop schema {}").format(sql.Identifier(schema)))
    except psycopg.errors.DependentObjectsStillExist:
        return False
    return True


def _qualified(schema: str, name: str) -> str:
    """A name of ours (plain lower case, perhaps with arguments) in the schema."""
    return f"{sql.Identifier(schema).as_string(None)}.{name}"


# Words


@contextmanager
def _failures_in(name: str, text: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        position = int(error.diag.statement_position or 0)
        line = f" line {text.count(chr(10), 0, position) - 1}" if position else ""
        hint = f" ({error.diag.message_hint})" if error.diag.message_hint else ""
        reason = error.diag.message_primary or str(error)
        raise InstallError(f"cannot install, {name}{line}: {reason}{hint}") from error


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
