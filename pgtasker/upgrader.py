"""Bringing an install to what this package knows, in one transaction, while others use it.

Responsible for the order: numbered migrations change the tables, code that has gone is dropped, and
functions, triggers and views are replaced: in place, so that grants and what others built on them
stay; one whose shape has changed is dropped with those of ours that depend on it, and they all come
back. Replacing also binds every function to the name that the schema has now. What the files are is
left to `schema_files`.

Everything is locked at once, before anything is changed, and callers wait for that no longer than
`LOCK_TIMEOUT` and as long as the work takes: whoever holds a lock for longer is waited for between
attempts, never inside one. Only autovacuum, which gives way after a second, is waited for inside,
with a lock that is in nobody else's way.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from pgtasker.installer import (
    LOCKED,
    InstallError,
    failures_in,
    lock,
    lock_all,
    lock_tables,
    require_server,
    some,
    version_in,
)
from pgtasker.rights import ROLES, creating, granting
from pgtasker.schema_files import (
    COMPATIBLE_SINCE,
    GRANTS,
    SCHEMA_VERSION,
    Migration,
    Objects,
    code_pieces,
    is_newer,
    migrations,
    objects,
    understands,
)

LOCK_TIMEOUT = 200  # milliseconds; others wait in the queue behind the upgrade meanwhile
VACUUM_TIMEOUT = "3s"  # autovacuum gives way after deadlock_timeout, a second
PATIENCE = 60.0  # seconds of attempts
PAUSE = 1.0  # seconds between two of them, more or less

_SHAPE_HAS_CHANGED = ("42P13", "42P16", "42809")
_CODE = re.compile(r"function \w+\([^)]*\)|view \w+|trigger \w+ on \w+")

# What depends on an object or on a part of it (a view's row type), as `drop` names it; `other` is
# what is no code: a column, a constraint, an index.
_DEPENDENTS = """
    with recursive part (classid, objid) as (
        select %(catalog)s::regclass::oid, %(oid)s::oid
        union
        select dependency.classid, dependency.objid
        from part
        join pg_depend dependency
            on dependency.refclassid = part.classid and dependency.refobjid = part.objid
        where dependency.deptype in ('a', 'i')
    )
    select distinct
        case
            when rule.oid is not null then format('view %%s', rule.ev_class::regclass)
            when function.oid is not null then format('function %%s', function.oid::regprocedure)
            when trigger.oid is not null
                then format('trigger %%I on %%s', trigger.tgname, trigger.tgrelid::regclass)
            else 'other'
        end,
        pg_describe_object(dependency.classid, dependency.objid, dependency.objsubid)
    from part
    join pg_depend dependency
        on dependency.refclassid = part.classid and dependency.refobjid = part.objid
    left join pg_rewrite rule
        on dependency.classid = 'pg_rewrite'::regclass and rule.oid = dependency.objid
    left join pg_proc function
        on dependency.classid = 'pg_proc'::regclass and function.oid = dependency.objid
    left join pg_trigger trigger
        on dependency.classid = 'pg_trigger'::regclass and trigger.oid = dependency.objid
    where dependency.deptype = 'n'
    and (dependency.classid, dependency.objid) not in (select part.classid, part.objid from part)
"""

_GRANTED = """
    select 'function', function.proname, coalesce(quote_ident(role.rolname), 'public'),
        granted.privilege_type, granted.is_grantable, granted.grantee = function.proowner
    from pg_proc function
    join pg_namespace namespace on namespace.oid = function.pronamespace
    cross join lateral aclexplode(function.proacl) as granted
    left join pg_roles role on role.oid = granted.grantee
    where namespace.nspname = current_schema()
    union all
    select 'view', view.relname, coalesce(quote_ident(role.rolname), 'public'),
        granted.privilege_type, granted.is_grantable, granted.grantee = view.relowner
    from pg_class view
    join pg_namespace namespace on namespace.oid = view.relnamespace
    cross join lateral aclexplode(view.relacl) as granted
    left join pg_roles role on role.oid = granted.grantee
    where namespace.nspname = current_schema() and view.relkind = 'v'
"""

_HOLDERS = """
    select format(
        'process %%s (%%s)', holder.pid,
        concat_ws(', ', holder.usename, nullif(holder.application_name, ''), holder.state)
    )
    from pg_stat_activity holder
    where holder.pid <> pg_backend_pid()
    and exists (
        select
        from pg_locks held
        join pg_class relation on relation.oid = held.relation
        join pg_namespace namespace on namespace.oid = relation.relnamespace
        where held.pid = holder.pid and held.granted and namespace.nspname = %s
    )
    order by holder.xact_start
"""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What an upgrade did: from which version to which, and the SQL that it ran."""

    before: str
    after: str
    migrations: tuple[str, ...]
    dropped: tuple[str, ...]
    script: str


def upgrade(
    conn: psycopg.Connection[Any],
    schema: str,
    *,
    back: bool = False,
    dry_run: bool = False,
    create_roles: bool = False,
    patience: float = PATIENCE,
    told: Callable[[str], None] = lambda _: None,
) -> Upgrade:
    """Upgrade the install in the schema; with `dry_run` everything is tried and taken back.

    With `back` a newer install gets the code of this package again: its tables stay as they are,
    so that it loses nothing and can be upgraded anew. The roles of the install that exist are
    granted what is theirs; `create_roles` creates those that are missing. Holders of locks are
    waited for up to `patience` seconds; `told` is called with who they are. Raises InstallError
    when there is no install, it is newer than this package (with `back`: its tables do not fit, or
    it is not newer), or something of others is in the way; then nothing was changed.
    """
    require_server(conn)
    deadline = time.monotonic() + patience
    while True:
        try:
            with (
                conn.transaction(force_rollback=dry_run),
                conn.cursor(row_factory=tuple_row) as cursor,
            ):
                return _Upgrading(cursor, schema, back).run(create_roles)
        except (*LOCKED, psycopg.errors.QueryCanceled):
            holders = _holders(conn, schema)
            if time.monotonic() > deadline:
                raise InstallError(
                    f"cannot upgrade while {holders} uses schema {schema!r}: nothing was changed, "
                    "try again when that transaction has ended"
                ) from None
            told(holders)
            time.sleep(random.uniform(0.5, 1.5) * PAUSE)


def _holders(conn: psycopg.Connection[Any], schema: str) -> str:
    with conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(_HOLDERS, [schema])
        return some([str(row[0]) for row in cursor.fetchall()]) or "another transaction"


class _Upgrading:
    """One attempt."""

    def __init__(self, cursor: psycopg.Cursor[Any], schema: str, back: bool) -> None:
        self._cursor = cursor
        self._schema = schema
        self._back = back
        self._script: list[str] = []
        self._dropped: list[str] = []
        self._known = Objects({}, (), ())  # what this package creates
        self._ours: dict[str, str] = {}  # code as the catalog writes it -> as the files write it
        self._grants: list[tuple[str, str, str, str, bool, bool]] = []

    def run(self, create_roles: bool) -> Upgrade:
        """Do all of it, inside the caller's transaction."""
        cursor, schema = self._cursor, self._schema
        cursor.execute(
            f"set local lock_timeout = '{VACUUM_TIMEOUT}'; set local statement_timeout = 0".encode()
        )
        lock(cursor, schema)
        before = version_in(cursor, schema)
        if before is None:
            raise InstallError(f"nothing is installed in schema {schema!r}: pgtasker install")
        self._require_direction(before)
        self._script.append(f"-- pgtasker {before} to {SCHEMA_VERSION}, in one transaction")
        if create_roles:
            with failures_in("creating roles", creating(schema), "upgrade"):
                self._execute(creating(schema))
        self._become_owner()
        identifier = sql.Identifier(schema).as_string(None)
        self._execute(f"set local search_path = {identifier}, pg_temp;")
        noted = dict(self._asked("select name, value from settings"))
        self._require_fit(before, noted.get("schema_compatible_since", before))
        testing = noted.get("made_for_tests") == "true"
        migrated_to = int(noted.get("schema_migration", 0))
        self._known = known = objects(testing)
        waiting = [migration for migration in migrations() if migration.number > migrated_to]
        pieces = list(code_pieces(testing))
        stored = noted.get("schema_code", "\n".join(known.code)).splitlines()
        stored = [line for line in stored if _CODE.fullmatch(line)]
        self._lock_all()
        self._grants = self._asked(_GRANTED)
        self._migrate(waiting)
        self._require_state()
        self._ours = self._in_catalog(stored)
        for line in reversed(stored):
            if line not in known.code:
                self._drop(line)
        self._replace([piece for piece in pieces if piece[0] != GRANTS])
        self._grant_again(known.signatures, known.names["view"])
        self._replace([piece for piece in pieces if piece[0] == GRANTS])
        with failures_in(ROLES, granting(schema), "upgrade"):
            self._execute(granting(schema))
        self._note(schema_version=SCHEMA_VERSION, schema_code="\n".join(known.code))
        if not self._back:
            last = max((migration.number for migration in migrations()), default=0)
            self._note(schema_migration=str(last), schema_compatible_since=COMPATIBLE_SINCE)
        names = tuple(migration.name for migration in waiting)
        gone = tuple(line for line in self._dropped if line not in known.code)
        return Upgrade(before, SCHEMA_VERSION, names, gone, "\n".join(self._script))

    def _lock_all(self) -> None:
        """First what autovacuum holds, which is in no caller's way; then everything, at once, given
        up before a caller could look for deadlocks."""
        cursor = self._cursor
        lock_tables(cursor, self._known, "share update exclusive")
        self._asked(
            "select set_config(limits.name, least(%s, deadlock.setting::integer / 2)::text, true)"
            " from pg_settings deadlock"
            " cross join unnest(array['lock_timeout', 'statement_timeout']) as limits (name)"
            " where deadlock.name = 'deadlock_timeout'",
            LOCK_TIMEOUT,
        )
        lock_all(cursor, self._known)
        cursor.execute("set local statement_timeout = 0")

    def _require_direction(self, before: str) -> None:
        if is_newer(before) and not self._back:
            raise InstallError(
                f"schema {self._schema!r} has version {before}, newer than {SCHEMA_VERSION} of "
                "this package: upgrade the package (pip install --upgrade pgtasker), or put the "
                "older code back (pgtasker downgrade)"
            )
        if self._back and not is_newer(before):
            raise InstallError(
                f"schema {self._schema!r} has version {before}, not newer than {SCHEMA_VERSION} of "
                "this package: run the package to which you want to go back"
            )

    def _require_fit(self, before: str, compatible_since: str) -> None:
        if not understands(before, compatible_since):
            raise InstallError(
                f"the tables of version {before} in schema {self._schema!r} do not fit the code of "
                f"{SCHEMA_VERSION}, only of {compatible_since} and newer: restore the backup from "
                "before the upgrade"
            )

    def _become_owner(self) -> None:
        """What is created belongs to whom the rest belongs to."""
        settings = sql.Identifier(self._schema, "settings").as_string(None)
        [(owner, same)] = self._asked(
            "select relowner::regrole::text, pg_get_userbyid(relowner) = current_user"
            " from pg_class where oid = %s::regclass",
            settings,
        )
        if not same:
            try:
                self._execute(f"set local role {owner};")
            except psycopg.errors.InsufficientPrivilege:
                raise InstallError(
                    f"the install in schema {self._schema!r} belongs to {owner}: upgrade as {owner}"
                ) from None

    def _note(self, **values: str) -> None:
        for name, value in values.items():
            self._execute(
                "insert into settings (name, value) values "
                f"({sql.quote(name)}, {sql.quote(value)}) "
                "on conflict (name) do update set value = excluded.value;"
            )

    def _migrate(self, waiting: Iterable[Migration]) -> None:
        for migration in waiting:
            text = f"-- {migration.name}\n\n{migration.text}"
            with failures_in(migration.name, text, "upgrade"):
                self._execute(text)

    def _require_state(self) -> None:
        """What only an install or a migration creates; views come later."""
        rows = self._asked(
            "select name from unnest(%s::text[]) as name"
            " where to_regclass(name) is null and to_regtype(name) is null",
            [name for name in self._known.relations if name not in self._known.names["view"]],
        )
        if rows:
            raise InstallError(
                f"cannot upgrade: {some([name for (name,) in rows])} is missing, and no migration "
                "creates it: this install is of a version that was never released"
            )

    def _replace(self, pieces: Sequence[tuple[str, str]]) -> None:
        """Replace what the files create, or drop what cannot be replaced and create it again.

        All of them in one statement, and halves of it where it fails: whatever is locked is locked
        for a few round trips, not for some of each file.
        """
        conn = self._cursor.connection
        texts = [f"-- {name}\n\n{text}" for name, text in pieces]
        try:
            with conn.transaction():
                self._cursor.execute("\n".join(texts).encode())
        except LOCKED:
            raise
        except psycopg.Error as error:
            if len(pieces) > 1:
                half = len(pieces) // 2
                self._replace(pieces[:half])
                self._replace(pieces[half:])
                return
            [(name, text)], [statement] = pieces, texts
            if error.sqlstate not in _SHAPE_HAS_CHANGED:
                with failures_in(name, statement, "upgrade"):
                    raise
            for line in self._known.code:
                if line in self._ours.values() and _creates(text, line):
                    self._drop(line)
            with failures_in(name, statement, "upgrade"):
                self._cursor.execute(statement.encode())
        self._script += texts

    def _drop(self, line: str) -> None:
        """Drop code of ours with whatever code of ours depends on it."""
        if line in self._dropped:
            return
        self._dropped.append(line)
        kind, _, name = line.partition(" ")
        if kind != "trigger":
            catalog, lookup = (
                ("pg_class", "to_regclass") if kind == "view" else ("pg_proc", "to_regprocedure")
            )
            [(oid,)] = self._asked(f"select {lookup}(%s)::oid", name)
            found = self._asked(_DEPENDENTS, catalog=catalog, oid=oid) if oid else []
            foreign = [described for dependent, described in found if dependent not in self._ours]
            if foreign:
                raise InstallError(
                    f"cannot upgrade, {line} has changed and {some(foreign)} depends on it: drop "
                    "that first, and create it again afterwards"
                )
            for dependent, _ in found:
                self._drop(self._ours[dependent])
        self._execute(f"drop {kind} if exists {name};")

    def _in_catalog(self, stored: list[str]) -> dict[str, str]:
        functions = [line.removeprefix("function ") for line in stored if line[0] == "f"]
        found = {line: line for line in stored if line[0] != "f"}
        rows = self._asked(
            "select format('function %%s', to_regprocedure(name)), name"
            " from unnest(%s::text[]) as name",
            functions,
        )
        return found | {written: f"function {name}" for written, name in rows}

    def _grant_again(self, signatures: tuple[str, ...], views: tuple[str, ...]) -> None:
        """What was dropped and created again is granted to those who had it, and to nobody else."""
        names = {name.partition("(")[0]: f"function {name}" for name in signatures}
        names |= {name: f"table {name}" for name in views}
        again = {line.partition(" ")[2].partition("(")[0] for line in self._dropped}
        for name in sorted(again & names.keys()):
            given = [grant for grant in self._grants if grant[1] == name]
            if given and not any(grantee == "public" for _, _, grantee, *_ in given):
                self._execute(f"revoke all on {names[name]} from public;")
            for _, _, grantee, privilege, grantable, is_owner in given:
                option = " with grant option" if grantable else ""
                if not is_owner:
                    self._execute(f"grant {privilege} on {names[name]} to {grantee}{option};")

    def _asked(self, query: str, *arguments: object, **named: object) -> list[Any]:
        self._cursor.execute(query.encode(), named or arguments or None)
        return self._cursor.fetchall()

    def _execute(self, statement: str) -> None:
        self._cursor.execute(statement.encode())
        self._script.append(statement)


def _creates(text: str, line: str) -> bool:
    kind, _, name = line.partition(" ")
    name = re.split(r"\W", name)[0]
    return re.search(rf"^create or replace {kind} {name}\b", text, re.MULTILINE) is not None
