"""Who may do what: every role with every object of the install, as granted and as tried."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import psycopg
import pytest
from psycopg import sql

from pgtasker.rights import KINDS, role_name

from ..house.test_generated import GOLDEN, compare
from ..support.session import Session
from .installs import STRANGER, Install

DENIED = "42501"
REFUSED = (DENIED, "42809", "55000")  # also for the owner: a view cannot be written

# Every object of the schema, and the privileges that there are of its kind.
OBJECTS = """
    select 'function' as kind, p.oid, p.proname::text as name, array['EXECUTE'] as privileges
    from pg_proc p
    where p.pronamespace = %(schema)s::regnamespace
    union all
    select
        case c.relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end,
        c.oid,
        c.relname::text,
        case when c.relkind = 'S' then array['USAGE', 'SELECT', 'UPDATE'] else
            array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']
        end
    from pg_class c
    where c.relnamespace = %(schema)s::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    union all
    select 'schema', n.oid, 'it', array['USAGE', 'CREATE']
    from pg_namespace n
    where n.oid = %(schema)s::regnamespace
"""
HOLDS = """
    case object.kind
        when 'function' then has_function_privilege(%(role)s, object.oid, privilege)
        when 'sequence' then has_sequence_privilege(%(role)s, object.oid, privilege)
        when 'schema' then has_schema_privilege(%(role)s, object.oid, privilege)
        else has_table_privilege(%(role)s, object.oid, privilege)
            or privilege <> 'DELETE' and privilege <> 'TRUNCATE' and privilege <> 'TRIGGER'
            and has_any_column_privilege(%(role)s, object.oid, privilege)
    end
"""
TABLES = {
    "select": "select * from {table}",
    "select of a column": "select {column} from {table}",
    "insert": "insert into {table} default values",
    "update": "update {table} set {column} = {column}",
    "delete": "delete from {table}",
    "truncate": "truncate {table}",
    "lock": "lock table {table} in access share mode",
    "copy": "copy {table} to stdout",
    "alter": "alter table {table} add column more text",
    "drop": "drop table {table}",
    "a trigger": "create trigger t before insert on {table} for each row"
    " execute function suppress_redundant_updates_trigger()",
    "a rule": "create rule r as on insert to {table} do instead nothing",
    "an index": "create index on {table} ({column})",
}
SEQUENCES = {
    "nextval": "select nextval({name})",
    "setval": "select setval({name}, 7)",
    "read": "select last_value from {sequence}",
}
SCHEMA = {
    "a table": "create table {schema}.mine (a int)",
    "a function": "create function {schema}._refuse(int) returns int return 1",
    "a replaced function": "create or replace function {schema}.clock() returns timestamptz"
    " language sql stable return now()",
    "an altered function": "alter function {schema}.cancel_task security invoker",
    "a dropped function": "drop function {schema}.check_consistency()",
    "a type": "create type {schema}.mine as (a int)",
    "a renamed schema": "alter schema {schema} rename to other",
    "the owner": "set role {owner}",
    "the owner's role": "grant {owner} to {user}",
    "more roles": "create role {another}",
}


def privileges(install: Install, role: str) -> list[str]:
    """What the role holds, a line for each object that it may use."""
    asked = {"schema": install.schema, "role": role}
    cursor = install.main.conn.execute(
        f"""
        select distinct object.kind, object.name, lower(privilege)
        from ({OBJECTS}) as object
        cross join unnest(object.privileges) as privilege
        where {HOLDS}
        order by 1, 2, 3
        """.encode(),
        asked,
    )
    return [f"{kind} {name}: {privilege}" for kind, name, privilege in cursor.fetchall()]


def names(install: Install, kind: str) -> list[str]:
    """The objects of a kind."""
    query = f"select name from ({OBJECTS}) as object where kind = %(kind)s order by 1"
    cursor = install.main.conn.execute(query.encode(), {"schema": install.schema, "kind": kind})
    return [name for (name,) in cursor.fetchall()]


def outcome(session: Session, statement: sql.Composable | str) -> str:
    """The SQLSTATE of a statement, which is undone."""
    text = statement if isinstance(statement, sql.Composable) else sql.SQL(statement)  # type: ignore[arg-type]
    session.begin()
    try:
        session.conn.execute(text)
    except psycopg.Error as error:
        return error.sqlstate or ""
    finally:
        session.rollback()
    return "00000"


def test_the_matrix_is_the_golden_one(install: Install, request: pytest.FixtureRequest):
    """What is added to the schema is nobody's, until somebody decides, in roles.sql and here."""
    held = sorted(
        (line, kind)
        for kind in KINDS
        for line in privileges(install, role_name(install.schema, kind))
    )
    lines = [
        f"{line} - {', '.join(kind for kind in KINDS if (line, kind) in held)}"
        for line, _ in groupby(held, key=lambda pair: pair[0])
    ]
    compare(request, GOLDEN / "rights.txt", "\n".join(lines) + "\n")


def test_the_public_functions_and_views_are_granted_and_nothing_else(install: Install):
    """An admin has all of the surface; nobody has what begins with _, a table or a sequence."""
    every = {kind: privileges(install, role_name(install.schema, kind)) for kind in KINDS}
    public = [
        f"{kind} {name}: {privilege}"
        for kind, privilege in (("function", "execute"), ("view", "select"))
        for name in names(install, kind)
        if not name.startswith("_")
    ]
    assert every["admin"] == sorted([*public, "schema it: usage"])
    for held in every.values():
        assert set(held) <= set(every["admin"])


def test_everybody_has_nothing(install: Install):
    """A role without a grant may not even look into the schema."""
    assert privileges(install, install.login(STRANGER)) == []
    assert privileges(install, "public") == []
    stranger = install.session(STRANGER)
    for name in names(install, "function"):
        call = sql.SQL("select {}.{}()").format(
            sql.Identifier(install.schema), sql.Identifier(name)
        )
        assert outcome(stranger, call) == DENIED


def test_an_entry_point_has_its_owners_rights_and_its_own_search_path(install: Install):
    """All that is granted but the clock, which touches nothing; and nothing that is not granted."""
    rows = install.main.rows(
        "select p.proname::text as name, p.prosecdef as is_definer, p.proconfig as settings"
        " from pg_proc p where p.pronamespace = %s::regnamespace order by 1",
        install.schema,
    )
    pinned = f"search_path={install.schema}, pg_temp"
    for row in rows:
        public = not row.name.startswith("_") and row.name != "clock"
        assert row.is_definer == public, row.name
        if row.is_definer:
            assert pinned in row.settings, row.name
    owners = install.main.column(
        "select distinct p.proowner::regrole::text from pg_proc p"
        " where p.pronamespace = %s::regnamespace",
        install.schema,
    )
    assert owners == [install.login("owner")]


@pytest.mark.parametrize("kind", KINDS)
def test_no_table_can_be_touched(install: Install, kind: str):
    """Whatever is tried with it: not even read."""
    session = install.session(kind)
    tables = names(install, "table")
    columns = dict(
        install.main.rows(
            "select table_name::text, min(column_name::text) from information_schema.columns"
            " where table_schema = %s and is_generated = 'NEVER' and is_identity = 'NO' group by 1",
            install.schema,
        )
    )
    assert len(tables) >= 15
    for table in tables:
        parts = {
            "table": sql.Identifier(install.schema, table),
            "column": sql.Identifier(columns[table]),
        }
        for what, text in TABLES.items():
            tried = outcome(session, sql.SQL(text).format(**parts))  # type: ignore[arg-type]
            assert tried == DENIED, f"{kind}, {table}: {what}"


@pytest.mark.parametrize("kind", KINDS)
def test_no_sequence_can_be_touched(install: Install, kind: str):
    """Ids are given by functions."""
    sequences = names(install, "sequence")
    assert sequences
    for name in sequences:
        parts = {
            "name": sql.Literal(f'"{install.schema}"."{name}"'),
            "sequence": sql.Identifier(install.schema, name),
        }
        for what, text in SEQUENCES.items():
            tried = outcome(
                install.session(kind),
                sql.SQL(text).format(**parts),  # type: ignore[arg-type]
            )
            assert tried == DENIED, f"{kind}, {name}: {what}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", SCHEMA)
def test_nothing_can_be_made_changed_or_handed_on(install: Install, kind: str, what: str):
    """Neither in the schema nor with its roles."""
    parts = {
        "schema": sql.Identifier(install.schema),
        "owner": sql.Identifier(install.login("owner")),
        "user": sql.Identifier(install.login(kind)),
        "another": sql.Identifier(f"{install.schema}_another"),
    }
    text = sql.SQL(SCHEMA[what]).format(**parts)  # type: ignore[arg-type]
    assert outcome(install.session(kind), text) == DENIED


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_granted_cannot_be_granted_further(install: Install, kind: str):
    """PostgreSQL warns instead of refusing, where there is something to grant."""
    session = install.session(kind)
    for name in names(install, "function"):
        function = sql.Identifier(install.schema, name)
        session.begin()
        try:
            session.conn.execute(sql.SQL("grant execute on function {} to public").format(function))
            assert not session.one(
                "select has_function_privilege('public', %s::regproc, 'execute')",
                function.as_string(),
            )
        except psycopg.errors.InsufficientPrivilege:
            pass
        finally:
            session.rollback()


@pytest.mark.parametrize("kind", KINDS)
def test_views_can_be_read_as_granted_and_not_written(install: Install, kind: str):
    """Those whose names begin with _ are parts of the others."""
    session = install.session(kind)
    held = privileges(install, role_name(install.schema, kind))
    for name in names(install, "view"):
        view = sql.Identifier(install.schema, name)
        expected = "00000" if f"view {name}: select" in held else DENIED
        assert outcome(session, sql.SQL("select * from {}").format(view)) == expected, name
        for text in ("delete from {}", "insert into {} default values", "truncate {}"):
            assert outcome(session, sql.SQL(text).format(view)) in REFUSED, name  # type: ignore[arg-type]


def calls(install: Install) -> Iterator[tuple[str, sql.Composed]]:
    """A call of every function that is no trigger, with null for every argument."""
    rows = install.main.rows(
        "select p.proname::text, array(select format_type(t, null)"
        " from unnest(p.proargtypes::oid[]) as t) as types"
        " from pg_proc p where p.pronamespace = %s::regnamespace"
        " and p.prorettype <> 'trigger'::regtype order by 1",
        install.schema,
    )
    for name, types in rows:
        nulls = sql.SQL(", ").join([sql.SQL(f"null::{each}") for each in types])
        yield name, sql.SQL("select {}({})").format(sql.Identifier(install.schema, name), nulls)


@pytest.mark.parametrize("kind", KINDS)
def test_functions_can_be_called_as_granted(install: Install, kind: str):
    """Those that are not granted are refused; those that are need no other right."""
    session = install.session(kind)
    held = privileges(install, role_name(install.schema, kind))
    tried = {name: outcome(session, call) for name, call in calls(install)}
    assert len(tried) > 100
    for name, state in tried.items():
        is_granted = f"function {name}: execute" in held
        assert (state != DENIED) == is_granted, f"{kind}: {name} -> {state}"
