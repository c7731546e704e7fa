"""A caller who prepares the ground: objects that bear the names of those that the engine uses, in a
schema before its own and in pg_temp, and settings that change what SQL means.

The functions run with the rights of their owner. Were one of these objects found instead of the
engine's, a caller could do with those rights what it likes: every one of them says so instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

import pgtasker

from ..support.databases import Databases
from ..support.session import Session
from . import installs
from .calls import World, arguments, populate
from .installs import Install
from .test_injection import FUNCTIONS, adapted

pytestmark = pytest.mark.newest_only

SCHEMA = Path(pgtasker.__file__).parent / "schema"
TRAP = "plpgsql as $$ begin raise exception 'hijacked as %', current_user; end; $$"
TYPES = [
    *("bigint", "integer", "text", "boolean", "jsonb", "json", "interval", "timestamptz", "name"),
    *("bigint[]", "text[]", "regclass", "float8", "numeric", "oid", "xid8"),
]
# Better matches than functions of PostgreSQL that take whatever they are given.
MATCHES = [
    *("format(text, text) text", "format(text, text, text) text", "format(text, bigint) text"),
    *("unnest(bigint[]) setof bigint", "unnest(text[]) setof text", "to_jsonb(text) jsonb"),
    *("cardinality(bigint[]) integer", "cardinality(text[]) integer", "to_json(text) json"),
    *("array_position(text[], text) integer", "array_position(bigint[], bigint) integer"),
    *("array_remove(text[], text) text[]", "array_remove(bigint[], bigint) bigint[]"),
    *("jsonb_build_object(text, text) jsonb", "concat_ws(text, text, text) text"),
    *("array_agg(bigint) bigint[]", "array_agg(text) text[]", "max(bigint) bigint"),
    *("count(bigint) bigint", "jsonb_object_agg(text, jsonb) jsonb", "nextval(text) bigint"),
]
# Functions of PostgreSQL whose names the engine's sources hold, and operators on types of its.
BUILT_IN = """
    select
        p.proname::text as name,
        pg_get_function_identity_arguments(p.oid) as arguments,
        pg_get_function_result(p.oid) as result
    from pg_proc p
    where p.pronamespace = 'pg_catalog'::regnamespace
        and p.proname = any (%s)
        and p.prokind in ('f', 'a')
        and not exists (
            select from unnest(p.proargtypes::oid[] || p.prorettype) as used (type)
            join pg_type t on t.oid = used.type
            where t.typtype = 'p'
        )
"""
OPERATORS = """
    select
        o.oprname::text as name,
        format_type(nullif(o.oprleft, 0), null) as left_type,
        format_type(o.oprright, null) as right_type,
        format_type(o.oprresult, null) as result
    from pg_operator o
    where o.oprright = any (%s::regtype[]::oid[])
        and (o.oprleft = 0 or o.oprleft = any (%s::regtype[]::oid[]))
"""
OURS = """
    select
        p.proname::text as name,
        pg_get_function_identity_arguments(p.oid) as arguments,
        pg_get_function_result(p.oid) as result
    from pg_proc p
    where p.pronamespace = %s::regnamespace and p.prorettype <> 'trigger'::regtype
"""
SETTINGS = {
    "standard_conforming_strings": "off",
    "backslash_quote": "on",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Asia/Kathmandu",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "quote_all_identifiers": "on",
    "row_security": "off",
    "plan_cache_mode": "force_custom_plan",
    "enable_seqscan": "off",
    "enable_indexscan": "off",
    "enable_nestloop": "off",
    "enable_hashjoin": "off",
    "work_mem": "64kB",
    "jit": "on",
    "jit_above_cost": "0",
    "from_collapse_limit": "1",
    "join_collapse_limit": "1",
    "client_encoding": "LATIN1",
    "check_function_bodies": "off",
    "plpgsql.extra_errors": "all",
    "plpgsql.check_asserts": "off",
}


@pytest.fixture(scope="module")
def install(server: Databases) -> Iterator[Install]:
    made = installs.create(server)
    yield made
    made.main.assert_consistent()
    made.main.run("drop schema evil cascade")
    installs.drop(made)


@pytest.fixture(scope="module")
def world(install: Install) -> World:
    """What the calls act on."""
    install.main.run("create schema evil; grant all on schema evil to public")
    return populate(install.main)


def trap(session: Session, install: Install, where: str) -> int:
    """Fill a schema with objects of those names; how many there are."""
    into = sql.Identifier(where)
    words = {
        word
        for file in SCHEMA.rglob("*.sql")
        for word in re.findall(r"\b([a-z]\w+)\(", file.read_text())
    }
    statements: list[str] = []
    for query, values in ((BUILT_IN, [sorted(words)]), (OURS, [install.schema])):
        for row in install.main.rows(query, *values):
            name = sql.Identifier(row.name).as_string()
            result = "setof record" if row.result.startswith("TABLE") else row.result
            arguments = re.sub(r"\bOUT \w+ [\w\[\] ]+", "", row.arguments).rstrip(", ")
            arguments = re.sub(r"\bVARIADIC ", "", arguments)
            statements.append(
                f"create function {where}.{name}({arguments}) returns {result} language {TRAP}"
            )
    for match in MATCHES:
        signature, _, result = match.rpartition(") ")
        statements.append(f"create function {where}.{signature}) returns {result} language {TRAP}")
    for number, row in enumerate(install.main.rows(OPERATORS, TYPES, TYPES)):
        left = f"{row.left_type}, " if row.left_type else ""
        function = f"{where}.operator_{number}"
        statements.append(
            f"create function {function}({left}{row.right_type}) returns {row.result}"
            f" language {TRAP};"
            f"create operator {where}.{row.name} ("
            + (f"leftarg = {row.left_type}, " if row.left_type else "")
            + f"rightarg = {row.right_type}, function = {function})"
        )
    relations = install.main.rows(
        "select c.relname::text as name, array(select format('%%I text', a.attname)"
        " from pg_attribute a where a.attrelid = c.oid and a.attnum > 0) as columns"
        " from pg_class c where c.relkind in ('r', 'v') and (c.relnamespace = %s::regnamespace"
        " or c.relname in ('pg_locks', 'pg_stat_activity', 'pg_database', 'pg_proc', 'pg_class'))",
        install.schema,
    )
    for row in relations:
        columns = ", ".join(row.columns)
        kind = "temp table" if where == "pg_temp" else f"table {into.as_string()}."
        name = f"{kind} {row.name}" if where == "pg_temp" else f"{kind}{row.name}"
        statements.append(f"create {name} ({columns})")
    for name in ("text", "jsonb", "int8", "int4", "bool", "timestamptz", "claimed_step", "tasks_"):
        statements.append(f"create domain {where}.{name} as pg_catalog.bytea")
    made = 0
    for statement in statements:
        try:
            session.conn.execute(statement.encode())
            made += 1
        except (
            psycopg.errors.DuplicateObject,
            psycopg.errors.DuplicateFunction,
            psycopg.errors.DuplicateTable,
        ):
            pass  # the same for several kinds
    return made


@pytest.fixture(scope="module")
def hostile(install: Install, world: World) -> Iterator[Session]:
    """An admin, who may call everything, on such ground."""
    session = install.another("admin")
    install.main.run("set search_path = pg_catalog")  # types are written with their schema, if any
    assert trap(session, install, "evil") > 400
    assert trap(session, install, "pg_temp") > 400
    install.main.run(f"set search_path = {install.schema}")
    session.run(f"set search_path = evil, pg_temp, {install.schema}, pg_catalog")
    yield session
    session.conn.close()


def called(session: Session, install: Install, function: str, given: dict[str, Any]) -> Any:
    """What a call answers; it is undone. Nothing in it needs the search_path."""
    names = sql.SQL(", ").join(
        sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in given
    )
    query = sql.SQL("select * from {}({})").format(sql.Identifier(install.schema, function), names)
    values = {name: adapted(name, value) for name, value in given.items()}
    session.begin()
    try:
        return session.conn.execute(query, values).rowcount
    finally:
        session.rollback()
        session.run("select pg_catalog.pg_advisory_unlock_all()")


def test_the_traps_are_where_they_would_be_found(install: Install, hostile: Session):
    """A function that looks for its objects as its caller does falls into them."""
    for body in (
        "perform format('%s', 'x'::pg_catalog.text)",
        "perform 1::bigint = 2::bigint",
        "perform clock()",
    ):
        install.main.run(
            f"create or replace function {install.schema}._careless() returns void language plpgsql"
            f" security definer as $$ begin {body}; end; $$;"
            f"grant execute on function {install.schema}._careless to public"
        )
        with pytest.raises(psycopg.errors.RaiseException, match="hijacked as"):
            hostile.run(f"select {install.schema}._careless()")
    install.main.run(f"drop function {install.schema}._careless()")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_finds_what_is_the_engines(
    install: Install, world: World, hostile: Session, function: str
):
    """The same answer as to somebody who prepared nothing."""
    given = arguments(world)[function]
    expected = called(install.session("admin"), install, function, given)
    assert called(hostile, install, function, given) == expected


def test_the_shadows_hold_nothing(install: Install, hostile: Session):
    """No row was written into one of them."""
    for schema, table in hostile.rows(
        "select n.nspname, c.relname from pg_catalog.pg_class c"
        " join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace"
        " where c.relkind operator(pg_catalog.=) 'r'::pg_catalog.\"char\" and"
        " (n.nspname operator(pg_catalog.=) 'evil'::pg_catalog.name"
        "  or n.oid operator(pg_catalog.=) pg_catalog.pg_my_temp_schema())"
    ):
        shadow = sql.Identifier(schema, table)
        assert hostile.conn.execute(sql.SQL("select from {}").format(shadow)).fetchall() == []


def test_views_read_what_is_the_engines(install: Install, hostile: Session):
    """What a view means was decided when it was created; functions in it find their own."""
    views = install.main.column(
        "select c.relname::text from pg_class c where c.relnamespace = %s::regnamespace"
        " and c.relkind = 'v' and not starts_with(c.relname, '_') order by 1",
        install.schema,
    )
    for name in views:
        query = sql.SQL("select * from {}").format(sql.Identifier(install.schema, name))
        seen = [len(each.conn.execute(query).fetchall()) for each in (install.main, hostile)]
        assert seen[0] == seen[1], name


def test_a_workflow_runs_to_its_end_on_hostile_ground(install: Install, hostile: Session):
    """Committed: triggers, counters and queue follow as ever."""
    schema = sql.Identifier(install.schema)

    def call(text: str, *values: Any) -> list[Any]:
        query = sql.SQL(text).format(schema=schema)  # type: ignore[arg-type]
        return hostile.conn.execute(query, values or None).fetchall()

    [(task,)] = call("select {schema}.create_task(name => 'flow', priority => 9)")
    [(runner,)] = call("select {schema}.register_runner(name => 'r')")
    for step in ("a", "b"):
        found = call("select * from {schema}.claim_steps(runner_id => %s, max_steps => 1)", runner)
        assert [(each.task_id, each.step_name) for each in found] == [(task, step)]
        call(
            "select {schema}.complete_step(workflow_step_id => %s, claim_id => %s)",
            found[0].workflow_step_id,
            found[0].claim_id,
        )
    call("select {schema}.maintain()")
    call("select {schema}.deregister_runner(runner_id => %s)", runner)
    assert install.main.state_of(task) == "complete"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_settings_of_the_session_change_nothing(install: Install, world: World, function: str):
    """Each is set before the session compiles its first function."""
    given = arguments(world)[function]
    expected = called(install.session("admin"), install, function, given)
    session = install.another("admin")
    for name, value in SETTINGS.items():
        session.run(f"set {name} = '{value}'")
    try:
        assert called(session, install, function, given) == expected
    finally:
        session.conn.close()
