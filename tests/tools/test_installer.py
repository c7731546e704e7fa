"""The installer, with a small schema of its own: what is in the files does not matter to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgtasker import installer, schema_files

FILES = {
    "install.sql": "-- tables\n\\ir state.sql\n-- code\n\\ir functions/size_of.sql\n"
    "\\ir functions/count_things.sql\n\\ir triggers/watch.sql\n\\ir views/thing_list.sql\n",
    "state.sql": """\
create table settings (name text primary key, value text not null);
create type pair as (one int, two int);
create sequence thing_number;
""",
    "functions/size_of.sql": """\
create function size_of(word text) returns int language sql immutable return length(word);
comment on function size_of(text) is 'Its length.';
create table things (
    word text not null,
    size int not null generated always as (size_of(word)) stored
);
create index things_size on things (size);
""",
    "functions/count_things.sql": """\
create function count_things(smallest pair default null) returns bigint
language sql stable begin atomic
    select count(*) from things thing;
end;
comment on function count_things(pair) is 'How many; 100% of them.';
""",
    "triggers/watch.sql": """\
create function _watch() returns trigger language plpgsql volatile
set search_path from current as $$
begin
    perform size_of('x');
    return null;
end;
$$;
comment on function _watch() is 'Looks on.';
create trigger watch after insert on things for each statement execute function _watch();
""",
    "views/thing_list.sql": "create view thing_list as select word, size from things;\n",
    "roles.sql": """\
grant execute on function count_things to client, admin;
grant select on table thing_list to viewer, admin;
""",
    "testing/movable.sql": """\
create or replace function size_of(word text) returns int language sql immutable return 7;
""",
}


@pytest.fixture(autouse=True)
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(schema_files, "source", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def conn(empty_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        yield conn


def catalog(conn: psycopg.Connection[Any]) -> set[tuple[str, ...]]:
    """Everything outside the server's own schemas, and the schemas themselves."""
    rows = conn.execute(
        """
        select n.nspname, 'schema', '' from pg_namespace n
        union all
        select n.nspname, 'relation', c.relname from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        union all
        select n.nspname, 'function', p.oid::regprocedure::text from pg_proc p
        join pg_namespace n on n.oid = p.pronamespace
        union all
        select n.nspname, 'type', t.typname from pg_type t
        join pg_namespace n on n.oid = t.typnamespace
        """
    )
    return {tuple(row) for row in rows if not row[0].startswith(("pg_", "information_schema"))}


@pytest.mark.parametrize("schema", ["pgtasker", "Odd \"name\" %s {x} 'q'", "select"])
def test_any_schema_name_serves_and_uninstall_leaves_no_trace(
    conn: psycopg.Connection[Any], schema: str
) -> None:
    """Installing and uninstalling under any name brings the catalog back to where it was."""
    before = catalog(conn)
    installer.install(conn, schema)
    assert installer.installed_version(conn, schema) == installer.SCHEMA_VERSION
    assert installer.uninstall(conn, schema)
    assert catalog(conn) == before
    assert installer.installed_version(conn, schema) is None


def test_two_installs_live_in_one_database(conn: psycopg.Connection[Any]) -> None:
    """Removing one install leaves the other as it was."""
    installer.install(conn, "one")
    with_one = catalog(conn)
    installer.install(conn, "two")
    installer.uninstall(conn, "two")
    assert catalog(conn) == with_one


def test_the_script_is_plain_sql_that_restores_the_search_path(
    conn: psycopg.Connection[Any],
) -> None:
    """The script has no psql command, no transaction of its own, and leaves the session alone."""
    script = installer.render_install("pgtasker")
    assert not [line for line in script.splitlines() if line.startswith("\\")]
    assert not [line for line in script.splitlines() if line.strip() in ("begin;", "commit;")]
    conn.execute("set search_path = public, pg_catalog")
    conn.execute(script.encode())
    assert conn.execute("show search_path").fetchone() == ("public, pg_catalog",)
    assert installer.installed_version(conn, "pgtasker") == installer.SCHEMA_VERSION
    assert installer.uninstall(conn, "pgtasker")


def test_testing_objects_are_installed_only_when_asked_for(conn: psycopg.Connection[Any]) -> None:
    """What may only be in an install made for tests is not in any other."""
    installer.install(conn, "real")
    installer.install(conn, "test", testing=True)
    assert conn.execute("select real.size_of('abc'), test.size_of('abc')").fetchone() == (3, 7)


def test_a_second_install_says_which_version_is_there(conn: psycopg.Connection[Any]) -> None:
    """Installing twice changes nothing and names the version."""
    installer.install(conn, "pgtasker")
    before = catalog(conn)
    with pytest.raises(installer.AlreadyInstalledError, match="already installed in schema 'pgt"):
        installer.install(conn, "pgtasker")
    assert catalog(conn) == before


@pytest.mark.parametrize(
    ("foreign", "named"),
    [
        ("create table app.things (id int)", "table app.things"),
        ("create view app.thing_list as select 1", "view app.thing_list"),
        ("create function app.size_of(int) returns int return 1", "function app.size_of"),
        ("create domain app.pair as int", "type app.pair"),
        ("create table app.settings (id int)", "table app.settings"),
        ("create table app.settings (name text, value text)", "table app.settings"),
    ],
)
def test_an_object_of_the_same_name_is_refused_by_name(
    conn: psycopg.Connection[Any], foreign: str, named: str
) -> None:
    """A schema that holds something with one of our names is left alone."""
    conn.execute("create schema app")
    conn.execute(foreign.encode())
    before = catalog(conn)
    with pytest.raises(installer.InstallError, match=named):
        installer.install(conn, "app")
    assert catalog(conn) == before


def test_an_install_next_to_foreign_tables_removes_only_its_own(
    conn: psycopg.Connection[Any],
) -> None:
    """In a schema of the application, its tables, overloads and the schema itself stay."""
    conn.execute("create schema app; create table app.orders (id int)")
    before = catalog(conn)
    installer.install(conn, "app")
    conn.execute("create function app.size_of(n int) returns int return n")
    assert not installer.uninstall(conn, "app")
    assert catalog(conn) - before == {("app", "function", "app.size_of(integer)")}
    assert before <= catalog(conn)


def test_a_schema_that_others_use_by_now_stays(conn: psycopg.Connection[Any]) -> None:
    """A schema that the install created is kept when something of others is in it."""
    installer.install(conn, "pgtasker")
    conn.execute("create table pgtasker.mine (id int)")
    assert not installer.uninstall(conn, "pgtasker")
    assert {row[2] for row in catalog(conn) if row[0] == "pgtasker" and row[1] == "relation"} == {
        "mine"
    }


@pytest.mark.parametrize(
    "foreign",
    [
        "create view public.mine as select word from pgtasker.things",
        "create view public.mine as select * from pgtasker.thing_list",
        "create function public.mine() returns bigint return pgtasker.count_things()",
        "create table public.mine (word text, n int default pgtasker.size_of('x'))",
        "create table public.mine (p pgtasker.pair)",
        "create table public.mine (n bigint default nextval('pgtasker.thing_number'))",
        "create table public.mine (n text references pgtasker.settings (name))",
        "create table public.mine (t pgtasker.things[])",
    ],
)
def test_whatever_depends_on_the_install_stops_the_uninstall(
    conn: psycopg.Connection[Any], foreign: str
) -> None:
    """Nothing of others is ever dropped along: the error names it and nothing changes."""
    installer.install(conn, "pgtasker")
    conn.execute(foreign.encode())
    before = catalog(conn)
    with pytest.raises(installer.InstallError, match=r"mine.* depends on the install"):
        installer.uninstall(conn, "pgtasker")
    assert catalog(conn) == before


def test_uninstall_without_an_install_says_so(conn: psycopg.Connection[Any]) -> None:
    """There is nothing to remove from an unknown or empty schema."""
    with pytest.raises(installer.InstallError, match="nothing is installed in schema 'nowhere'"):
        installer.uninstall(conn, "nowhere")


def test_an_install_of_another_version_is_not_removed(conn: psycopg.Connection[Any]) -> None:
    """The names of another version's objects are not known here."""
    installer.install(conn, "pgtasker")
    conn.execute("update pgtasker.settings set value = '9.9' where name = 'schema_version'")
    with pytest.raises(installer.InstallError, match=r"has version 9\.9, this package removes"):
        installer.uninstall(conn, "pgtasker")


def test_a_failure_names_the_file_and_the_line_and_leaves_nothing(
    conn: psycopg.Connection[Any], source: Path
) -> None:
    """A statement that fails takes the whole install with it, in one clear line."""
    (source / "views/thing_list.sql").write_text(
        "-- a view\ncreate view x as\nselect nix from y;\n"
    )
    before = catalog(conn)
    with pytest.raises(installer.InstallError) as raised:
        installer.install(conn, "pgtasker")
    assert str(raised.value) == (
        'cannot install, views/thing_list.sql line 3: relation "y" does not exist'
    )
    assert catalog(conn) == before


def test_a_user_without_the_right_to_create_gets_one_line(
    conn: psycopg.Connection[Any],
) -> None:
    """The server's reason is in the message."""
    conn.execute("create role pgtasker_test_nobody")
    try:
        conn.execute("set role pgtasker_test_nobody")
        with pytest.raises(installer.InstallError, match="permission denied for database"):
            installer.install(conn, "pgtasker")
    finally:
        conn.execute("reset role")
        conn.execute("drop role pgtasker_test_nobody")


def test_an_owner_of_the_schema_needs_no_right_on_the_database(
    conn: psycopg.Connection[Any],
) -> None:
    """A DBA may create the schema and give it away."""
    conn.execute("create role pgtasker_test_owner")
    try:
        conn.execute("create schema given authorization pgtasker_test_owner")
        conn.execute("set role pgtasker_test_owner")
        installer.install(conn, "given")
        assert not installer.uninstall(conn, "given")
    finally:
        conn.execute("reset role")
        conn.execute("drop owned by pgtasker_test_owner; drop role pgtasker_test_owner")
