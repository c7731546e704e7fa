"""Putting the engine into a database, and taking it out again.

Responsible for running the files of the schema in one transaction, and for removing exactly what
they created. What the objects are is said by `schema_files`; replacing them is left to `upgrader`,
finding the database to others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from pgtasker.errors import PgtaskerError
from pgtasker.rights import ROLES, creating, granting, roles_in
from pgtasker.schema_files import SCHEMA_VERSION as SCHEMA_VERSION
from pgtasker.schema_files import Objects, block, install_pieces, is_newer, migrations, objects

OLDEST_SERVER = 150000
LOCKED = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)

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
        advice = "upgrade the package" if is_newer(version) else "pgtasker upgrade"
        hint = "" if version == SCHEMA_VERSION else f", not {SCHEMA_VERSION}: {advice}"
        super().__init__(f"already installed in schema {schema!r}, version {version}{hint}")
        self.version = version


def render_install(schema: str, testing: bool = False, create_roles: bool = False) -> str:
    """The whole install as plain SQL, without psql commands and without begin and commit.

    `testing` adds what only tests may have: a clock that they can move. `create_roles` creates
    those of the four roles that are missing; they belong to the whole server.
    """
    return "\n".join(text for _, text in _pieces(schema, testing, create_roles))


def _pieces(schema: str, testing: bool, create_roles: bool) -> Iterator[tuple[str, str]]:
    if create_roles:
        yield "creating roles", creating(schema)
    yield from install_pieces(schema, testing)
    yield ROLES, granting(schema)


def install(
    conn: psycopg.Connection[Any],
    schema: str,
    testing: bool = False,
    *,
    create_roles: bool = False,
) -> None:
    """Install into the schema, which is created if need be, in one transaction.

    The roles of the install that exist are granted what is theirs; `create_roles` creates those
    that are missing. Raises AlreadyInstalledError, or InstallError when the schema holds an object
    with one of our names, everybody may create objects in it, or the database refuses.
    """
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        require_server(conn)
        lock(cursor, schema)
        version = version_in(cursor, schema)
        if version is not None:
            raise AlreadyInstalledError(schema, version)
        _require_no_namesakes(cursor, schema)
        for name, text in _pieces(schema, testing, create_roles):
            with failures_in(name, text):
                cursor.execute(text.encode())


def uninstall(conn: psycopg.Connection[Any], schema: str) -> bool:
    """Drop what an install created, in one transaction, and the schema if that is then empty and
    was created by the install. Answers whether the schema went too. Roles stay, without rights
    here: an install of another database may use them.

    Raises InstallError when there is no install, it has another version, or something of others
    depends on it (the message names it).
    """
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        lock(cursor, schema)
        version = version_in(cursor, schema)
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
        cursor.execute("select value::integer from settings where name = 'schema_migration'")
        migrated_to = int((cursor.fetchone() or [0])[0])
        if migrated_to > max((migration.number for migration in migrations()), default=0):
            raise InstallError(
                f"the tables in schema {schema!r} are of a newer version, whose code was taken "
                "back: uninstall with the newer package, after its pgtasker upgrade"
            )
        lock_tables(cursor, known, "access exclusive")
        _require_no_dependents(cursor, schema, known)
        cursor.execute("select value::boolean from settings where name = 'schema_created'")
        created = bool((cursor.fetchone() or [False])[0])
        _drop(cursor, schema, known)
        for role in roles_in(conn, schema):
            revoke = sql.SQL("revoke usage on schema {} from {}")
            cursor.execute(revoke.format(identifier, sql.Identifier(role)))
        return created and _drop_schema_if_empty(conn, schema)


def installed_version(conn: psycopg.Connection[Any], schema: str) -> str | None:
    """The version of the install in the schema; None if there is none."""
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        return version_in(cursor, schema)


# Asking the database


def require_server(conn: psycopg.Connection[Any]) -> None:
    """Refuse a server that is too old."""
    if conn.info.server_version < OLDEST_SERVER:
        version = conn.info.parameter_status("server_version")
        raise InstallError(f"this server is PostgreSQL {version}: pgtasker needs 15 or newer")


def lock(cursor: psycopg.Cursor[Any], schema: str) -> None:
    """One install, upgrade or uninstall of a schema at a time."""
    cursor.execute(
        "select pg_advisory_xact_lock(hashtextextended('pgtasker install ' || %s, 0))", [schema]
    )


def lock_tables(cursor: psycopg.Cursor[Any], known: Objects, mode: LiteralString) -> None:
    """Lock those of our tables that are there; the install is on the search_path."""
    there = _there(cursor, known.names["table"])
    if there:
        cursor.execute(f"lock table {', '.join(there)} in {mode} mode".encode())


def lock_all(cursor: psycopg.Cursor[Any], known: Objects) -> None:
    """Lock our views and tables, access exclusive, in one statement.

    LOCK TABLE of a view would lock all that it reads in the same mode: system catalogs too, without
    which nobody can connect. Changing a view locks the view alone.
    """
    views = [
        f"\n    alter view {view} reset (security_barrier);"
        for view in _there(cursor, known.names.get("view", ()))
    ]
    tables = ", ".join(_there(cursor, known.names["table"]))
    cursor.execute(
        block(f"{''.join(views)}\n    lock table {tables} in access exclusive mode;").encode()
    )


def _there(cursor: psycopg.Cursor[Any], names: Sequence[str]) -> list[str]:
    cursor.execute(
        """
        select relation.relname
        from pg_class relation
        join pg_namespace namespace on namespace.oid = relation.relnamespace
        where namespace.nspname = current_schema() and relation.relname = any (%s)
        """,
        [list(names)],
    )
    found = {row[0] for row in cursor.fetchall()}
    return [name for name in names if name in found]


def version_in(cursor: psycopg.Cursor[Any], schema: str) -> str | None:
    """The version of the install in the schema; None if there is none."""
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
            f"schema {schema!r} holds {some(found)}, whose name pgtasker needs: install into "
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
            [[qualified(schema, name) for name in names]],
        )
        found = [row[0] for row in cursor.fetchall() if row[0] is not None]
        catalogs += [catalog] * len(found)
        oids += found
    cursor.execute(_DEPENDENTS, {"catalogs": catalogs, "oids": oids})
    foreign = [str(row[0]) for row in cursor.fetchall()]
    if foreign:
        raise InstallError(
            f"{some(foreign)} depends on the install in schema {schema!r}: drop it first"
        )


# Dropping


def _drop(cursor: psycopg.Cursor[Any], schema: str, known: Objects) -> None:
    """Tables and functions refer to each other, so no order would do without cascade; that nothing
    else hangs on them has been made sure of."""
    for kind in _CATALOGS:
        names = known.signatures if kind == "function" else known.names.get(kind, ())
        if names:
            targets = ", ".join(qualified(schema, name) for name in names)
            cursor.execute(f"drop {kind} if exists {targets} cascade".encode())


def _drop_schema_if_empty(conn: psycopg.Connection[Any], schema: str) -> bool:
    try:
        with conn.transaction():
            conn.execute(sql.SQL("drop schema {}").format(sql.Identifier(schema)))
    except psycopg.errors.DependentObjectsStillExist:
        return False
    return True


def qualified(schema: str, name: str) -> str:
    """A name of ours (plain lower case, perhaps with arguments) in the schema."""
    return f"{sql.Identifier(schema).as_string(None)}.{name}"


# Words


@contextmanager
def failures_in(name: str, text: str, verb: str = "install") -> Iterator[None]:
    """Say in which file and line a statement failed; that it found a lock taken is no failure."""
    try:
        yield
    except LOCKED:
        raise
    except psycopg.Error as error:
        position = int(error.diag.statement_position or 0)
        line = f" line {text.count(chr(10), 0, position) - 1}" if position else ""
        hint = f" ({error.diag.message_hint})" if error.diag.message_hint else ""
        reason = error.diag.message_primary or str(error)
        raise InstallError(f"cannot {verb}, {name}{line}: {reason}{hint}") from error


def some(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
