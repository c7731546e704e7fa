"""Roles are created on request, granted what is theirs where they exist, and never taken away."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgtasker import installer, upgrader
from pgtasker.cli import main
from pgtasker.doctor import examine
from pgtasker.errors import ConfigurationError
from pgtasker.rights import KINDS, role_name, roles_in

from ..support.databases import Databases
from . import installs
from .installs import Install

pytestmark = pytest.mark.newest_only


@pytest.fixture
def schema() -> str:
    """A name that needs quotes, and ends what a careless writer began."""
    return f"r7s_{uuid.uuid4().hex[:6]} $$ ' \" %"


@pytest.fixture
def conn(server: Databases, schema: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A database with nothing in it; the roles that a test makes begin as the schema does."""
    dsn = server.empty()
    with psycopg.connect(dsn, autocommit=True) as conn:
        yield conn
    server.drop(dsn)
    with psycopg.connect(server.facts["dsn"], autocommit=True) as admin:
        names = admin.execute(
            "select rolname from pg_roles where starts_with(rolname, %s)", [schema[:10]]
        )
        for (name,) in names.fetchall():
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def may(conn: psycopg.Connection[tuple[object, ...]], role: str, schema: str, name: str) -> bool:
    """Whether a role may call a function."""
    function = sql.Identifier(schema, name).as_string()
    row = conn.execute(
        "select coalesce(has_function_privilege(%s, (select p.oid from pg_proc p"
        " where p.oid = to_regproc(%s)), 'execute'), false)",
        [role, function],
    ).fetchone()
    assert row
    return bool(row[0])


def test_without_the_request_there_are_no_roles(
    conn: psycopg.Connection[tuple[object, ...]], schema: str
) -> None:
    """And with it there are four, which cannot log in."""
    installer.install(conn, schema)
    assert roles_in(conn, schema) == []
    upgrader.upgrade(conn, schema)
    assert roles_in(conn, schema) == []
    done = upgrader.upgrade(conn, schema, create_roles=True)
    assert "create role" in done.script
    assert roles_in(conn, schema) == [role_name(schema, kind) for kind in KINDS]
    logins = conn.execute(
        "select bool_or(rolcanlogin or rolsuper or rolcreaterole or rolcreatedb or rolbypassrls)"
        " from pg_roles where rolname = any (%s)",
        [roles_in(conn, schema)],
    )
    assert logins.fetchone() == (False,)
    assert may(conn, role_name(schema, "client"), schema, "create_task")
    upgrader.upgrade(conn, schema, create_roles=True)


def test_a_dry_run_creates_none(conn: psycopg.Connection[tuple[object, ...]], schema: str) -> None:
    """What it prints would."""
    installer.install(conn, schema)
    done = upgrader.upgrade(conn, schema, dry_run=True, create_roles=True)
    assert "create role" in done.script
    assert roles_in(conn, schema) == []


def test_roles_that_exist_are_granted_what_is_theirs(
    conn: psycopg.Connection[tuple[object, ...]], schema: str
) -> None:
    """An owner who may not create roles is helped by somebody who may; one role is enough."""
    owner = role_name(schema, "owner")
    viewer = role_name(schema, "viewer")
    for name in (owner, viewer):
        conn.execute(sql.SQL("create role {}").format(sql.Identifier(name)))
    parts = {"schema": sql.Identifier(schema), "owner": sql.Identifier(owner)}
    conn.execute(sql.SQL("create schema {schema} authorization {owner}").format(**parts))
    conn.execute(sql.SQL("set role {owner}").format(**parts))
    with pytest.raises(installer.InstallError, match=r"permission denied.*leave the option out"):
        installer.install(conn, schema, create_roles=True)
    installer.install(conn, schema)
    assert may(conn, viewer, schema, "get_task")
    assert not may(conn, viewer, schema, "create_task")
    conn.execute("reset role")
    conn.execute(sql.SQL("create role {}").format(sql.Identifier(role_name(schema, "client"))))
    conn.execute(sql.SQL("set role {owner}").format(**parts))
    upgrader.upgrade(conn, schema)
    assert may(conn, role_name(schema, "client"), schema, "create_task")


def test_an_upgrade_grants_what_is_new_and_keeps_what_was_given(
    conn: psycopg.Connection[tuple[object, ...]], schema: str
) -> None:
    """A function that comes with it is granted, and is an entry point again; everybody has none."""
    installer.install(conn, schema, create_roles=True)
    client = role_name(schema, "client")
    parts = {"schema": sql.Identifier(schema), "client": sql.Identifier(client)}
    conn.execute(sql.SQL("drop function {schema}.get_task").format(**parts))
    for text in (
        "grant execute on function {schema}.cancel_task to {client}",
        "grant execute on function {schema}.retry_task to public",
        "alter function {schema}.create_task security invoker",
    ):
        conn.execute(sql.SQL(text).format(**parts))
    upgrader.upgrade(conn, schema)
    assert may(conn, client, schema, "get_task")
    assert may(conn, client, schema, "cancel_task")
    assert not may(conn, "public", schema, "retry_task")
    assert not may(conn, "public", schema, "get_task")
    rows = conn.execute(
        "select bool_and(prosecdef) from pg_proc where pronamespace ="
        " (select oid from pg_namespace where nspname = %s)"
        " and proname in ('get_task', 'create_task')",
        [schema],
    )
    assert rows.fetchone() == (True,)


def test_the_printed_sql_grants_as_well(
    conn: psycopg.Connection[tuple[object, ...]], schema: str
) -> None:
    """Whoever executes it; it creates roles only if it was asked to."""
    assert "create role" not in installer.render_install(schema)
    with conn.transaction():
        conn.execute(installer.render_install(schema, create_roles=True).encode())
    assert may(conn, role_name(schema, "runner"), schema, "advance")
    assert not may(conn, role_name(schema, "runner"), schema, "create_task")


def test_a_schema_where_everybody_creates_objects_is_refused(
    conn: psycopg.Connection[tuple[object, ...]], schema: str
) -> None:
    """Functions would call what somebody put there with the rights of their owner."""
    parts = {"schema": sql.Identifier(schema)}
    conn.execute(sql.SQL("create schema {schema}").format(**parts))
    conn.execute(sql.SQL("grant create on schema {schema} to public").format(**parts))
    with pytest.raises(installer.InstallError, match=r"everybody may create.*revoke create on"):
        installer.install(conn, schema)
    conn.execute(sql.SQL("revoke create on schema {schema} from public").format(**parts))
    installer.install(conn, schema)
    conn.execute(sql.SQL("grant create on schema {schema} to public").format(**parts))
    with pytest.raises(installer.InstallError, match=r"everybody may create.*revoke create on"):
        upgrader.upgrade(conn, schema)


def test_a_name_that_is_too_long_for_roles_is_refused(
    conn: psycopg.Connection[tuple[object, ...]], schema: str
) -> None:
    """PostgreSQL would cut it, and two roles would be one."""
    schema = schema[:10] + "x" * 48
    with pytest.raises(ConfigurationError, match="at most 63 bytes"):
        installer.install(conn, schema, create_roles=True)
    installer.install(conn, schema)
    with pytest.raises(ConfigurationError, match="at most 63 bytes"):
        upgrader.upgrade(conn, schema, create_roles=True)


def test_uninstall_names_the_roles_and_leaves_nothing_that_keeps_them(
    conn: psycopg.Connection[tuple[object, ...]], schema: str, server: Databases
) -> None:
    """The schema was there before and stays; the roles can be dropped as they were named."""
    conn.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
    dsn = make_conninfo(server.facts["dsn"], dbname=conn.info.dbname)

    def command(*arguments: str) -> str:
        given = [*arguments, "--dsn", dsn, "--schema", schema]
        result = CliRunner().invoke(main, given, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    installed = command("install", "--create-roles")
    assert f"granted what is theirs to {role_name(schema, 'client')}, " in installed
    assert "upgrade --create-roles" in command("install", "--create-roles")
    assert "granted what is theirs to" in command("upgrade")
    gone = command("uninstall", "--yes")
    statement = gone.partition("may use them: ")[2].strip()
    assert statement.startswith("drop role ")
    conn.execute(statement.encode())
    assert roles_in(conn, schema) == []


@pytest.fixture
def install(server: Databases) -> Iterator[Install]:
    """An install of the test's own."""
    made = installs.create(server)
    yield made
    installs.drop(made)


def examined(install: Install, who: str, check: str) -> list[tuple[str, str]]:
    """Level, and text with advice, of what the doctor says to somebody."""
    findings = [each for each in examine(install.dsn(who), install.schema) if each.check == check]
    return [(each.level, f"{each.text}: {each.advice}".rstrip(": ")) for each in findings]


def test_the_doctor_says_what_a_user_may_do(install: Install) -> None:
    """Whatever the role, it looks at the rest as far as that goes."""
    for who, words in (
        ("client", "may start tasks and look"),
        ("runner", "may execute steps"),
        ("viewer", "may look"),
        ("admin", "may do everything"),
        ("owner", "owns the install"),
    ):
        assert examined(install, who, "privileges") == [("ok", f"{install.login(who)} {words}")]
        assert examined(install, who, "install")[0][0] == "ok"
        assert examined(install, who, "roles")[0][0] == "ok"
    assert examined(install, "viewer", "consistency")[0][0] == "ok"
    [(level, text)] = examined(install, "stranger", "install")
    assert level == "problem"
    assert f'grant this user one of "{install.schema}_client"' in text
    both = install.login("runner")
    install.main.run(f"grant {install.schema}_client to {both}")
    [(level, text)] = examined(install, "runner", "privileges")
    assert (level, text) == ("ok", f"{both} may start tasks and look, and execute steps")


def test_the_doctor_tells_what_is_missing_and_who_has_too_much(install: Install) -> None:
    """A grant that was lost, a user with half a role, and a role that may put things into the
    schema."""
    schema, db = install.schema, install.main
    db.run(f"revoke execute on function {schema}.create_task from {schema}_client")
    db.run(f"revoke select on {schema}.task_list from {schema}_viewer")
    assert examined(install, "client", "privileges")[0] == (
        "ok",
        f"{install.login('client')} may look",
    )
    [(level, text)] = examined(install, "viewer", "privileges")
    assert level == "problem"
    assert "task_list is missing" in text
    found = examined(install, "owner", "roles")
    assert (
        "warning",
        f"{schema}_client lacks create_task: pgtasker upgrade, as the owner",
    ) in found
    db.run(f"grant create on schema {schema} to {install.login('stranger')}")
    found = examined(install, "owner", "roles")
    assert found[-1][0] == "problem"
    assert f"{install.login('stranger')} may create objects in the schema" in found[-1][1]
    assert f'revoke create on schema "{schema}" from {install.login("stranger")}' in found[-1][1]
    with psycopg.connect(install.dsn("owner"), autocommit=True) as owners:
        upgrader.upgrade(owners, schema)
    assert not [text for _, text in examined(install, "owner", "roles") if "lacks" in text]
    assert examined(install, "viewer", "privileges")[0][0] == "ok"
