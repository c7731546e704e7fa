"""Upgrades: with a small schema of its own that changes in every way, and with the real one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgtasker import installer, schema_files, upgrader

from ..support.databases import Database

OLD = {
    "install.sql": "\\ir state.sql\n\\ir functions/size_of.sql\n\\ir functions/kept.sql\n"
    "\\ir functions/gone.sql\n\\ir functions/reshaped.sql\n\\ir views/listed.sql\n"
    "\\ir views/over_it.sql\n\\ir triggers/watch.sql\n\\ir grants.sql\n",
    "state.sql": """\
create table settings (name text primary key, value text not null);
create table things (word text not null);
""",
    "functions/size_of.sql": """\
create function size_of(word text) returns int language sql immutable return length(word);
comment on function size_of(text) is 'Its length.';
""",
    "functions/kept.sql": """\
create function kept() returns int language plpgsql stable
set search_path from current as $$ begin return (select count(*) from things); end; $$;
comment on function kept() is 'How many.';
""",
    "functions/gone.sql": """\
create function gone() returns int language sql stable return size_of('gone');
comment on function gone() is 'Not for long.';
""",
    "functions/reshaped.sql": """\
create function reshaped(word text) returns int language sql stable return size_of(word);
comment on function reshaped(text) is 'A number.';
""",
    "views/listed.sql": "create view listed as select word, size_of(word) as size from things;\n",
    "views/over_it.sql": """\
create view over_it as select size, reshaped(word) as shape, gone() as gone from listed;
""",
    "triggers/watch.sql": """\
create function _watch() returns trigger language plpgsql volatile
set search_path from current as $$ begin perform kept(); return null; end; $$;
comment on function _watch() is 'Looks on.';
create trigger watch after insert on things for each statement execute function _watch();
create trigger watch_too after update on things for each statement execute function _watch();
""",
    "grants.sql": "revoke execute on function _watch from public;\n",
    "roles.sql": "grant execute on function kept to client, admin;\n",
    "testing/movable.sql": "create or replace function kept() returns int return 7;\n",
}
NEW = {
    **OLD,
    "install.sql": OLD["install.sql"].replace("\\ir functions/gone.sql\n", "")
    + "\\ir functions/fresh.sql\n",
    "state.sql": OLD["state.sql"].replace("word text not null", "word text not null, note text"),
    "migrations/0001_notes.sql": "alter table things add column note text;\n",
    "functions/size_of.sql": OLD["functions/size_of.sql"].replace("length(", "1 + length("),
    "functions/kept.sql": OLD["functions/kept.sql"].replace("from things)", "from things) + 1"),
    "functions/reshaped.sql": """\
create function reshaped(word text, twice boolean default false) returns text
language sql stable return case when twice then word || word else word end;
comment on function reshaped(text, boolean) is 'A text.';
""",
    "functions/fresh.sql": """\
create function fresh() returns setof listed language sql stable begin atomic
    select * from listed;
end;
comment on function fresh() is 'New.';
""",
    "views/listed.sql": "create view listed as select note, word from things;\n",
    "views/over_it.sql": "create view over_it as select reshaped(word) as shape from listed;\n",
    "triggers/watch.sql": OLD["triggers/watch.sql"]
    .replace("watch_too after update", "watch_more after update")
    .replace("watch after insert", "watch after insert or delete"),
}


class Files:
    """The schema's files as a package has them."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        self._patch = monkeypatch

    def become(self, files: dict[str, str], version: str) -> None:
        """The package is now the one with these files."""
        directory = self._directory / version
        for name, text in files.items():
            file = directory / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self._patch.setattr(schema_files, "source", lambda: directory)
        for module in (schema_files, installer, upgrader):
            self._patch.setattr(module, "SCHEMA_VERSION", version)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """The package of the old version."""
    files = Files(tmp_path, monkeypatch)
    files.become(OLD, "0.9.0")
    return files


@pytest.fixture
def conn(empty_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        yield conn


def described(conn: psycopg.Connection[Any], schema: str) -> list[tuple[Any, ...]]:
    """What a schema holds, as the catalog describes it, without the schema's name."""
    rows = conn.execute(
        """
        select 'function', p.proname, pg_get_functiondef(p.oid), obj_description(p.oid, 'pg_proc'),
            p.proacl::text
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = %(schema)s
        union all
        select 'trigger', t.tgname, pg_get_triggerdef(t.oid), null, null
        from pg_trigger t join pg_class c on c.oid = t.tgrelid
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = %(schema)s and not t.tgisinternal
        union all
        select 'relation', c.relname, coalesce(pg_get_viewdef(c.oid), ''),
            (select string_agg(a.attname || ' ' || a.atttypid::regtype, ', ' order by a.attname)
            from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
            c.relacl::text
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = %(schema)s and c.relkind in ('r', 'v', 'i')
        order by 1, 2, 3
        """,
        {"schema": schema},
    )
    named = [tuple(str(value).replace(schema, "*") for value in row) for row in rows]
    with conn.transaction(force_rollback=True):
        conn.execute(f"set local search_path = {schema}")
        settings = conn.execute("select name, value from settings order by name").fetchall()
    return [*named, *settings]


def test_an_upgraded_install_is_as_a_fresh_one(conn: psycopg.Connection[Any], files: Files) -> None:
    """Whatever changed, came or went: tables, bodies, parameters, results, columns, triggers."""
    installer.install(conn, "app")
    conn.execute("insert into app.things values ('kept')")
    files.become(NEW, "1.0.0")
    done = upgrader.upgrade(conn, "app")
    assert (done.before, done.after) == ("0.9.0", "1.0.0")
    assert done.migrations == ("migrations/0001_notes.sql",)
    assert set(done.dropped) == {
        "function gone()",
        "function reshaped(text)",
        "trigger watch_too on things",
    }
    installer.install(conn, "other")
    assert described(conn, "app") == described(conn, "other")
    assert conn.execute("select app.kept(), app.size_of('x')").fetchone() == (2, 2)
    assert installer.uninstall(conn, "app")


@pytest.mark.newest_only
def test_a_second_upgrade_changes_nothing(conn: psycopg.Connection[Any], files: Files) -> None:
    """A migration runs once; the rest may run at any time."""
    installer.install(conn, "app")
    files.become(NEW, "1.0.0")
    upgrader.upgrade(conn, "app")
    before = described(conn, "app")
    done = upgrader.upgrade(conn, "app")
    assert (done.before, done.migrations, done.dropped) == ("1.0.0", (), ())
    assert described(conn, "app") == before


@pytest.mark.newest_only
def test_a_dry_run_shows_what_it_tried_and_changes_nothing(
    conn: psycopg.Connection[Any], files: Files
) -> None:
    """The SQL that it prints is the upgrade."""
    installer.install(conn, "app")
    installer.install(conn, "other")
    before = described(conn, "app")
    files.become(NEW, "1.0.0")
    script = upgrader.upgrade(conn, "app", dry_run=True).script
    assert described(conn, "app") == before
    with conn.transaction():
        conn.execute(script.encode())
    upgrader.upgrade(conn, "other")
    assert described(conn, "app") == described(conn, "other")


@pytest.mark.newest_only
def test_grants_outlive_what_is_created_again(conn: psycopg.Connection[Any], files: Files) -> None:
    """What was granted stays granted, what was taken from everybody stays taken."""
    installer.install(conn, "app")
    conn.execute("create role pgtasker_test_viewer")
    try:
        conn.execute("grant select on app.listed to pgtasker_test_viewer with grant option")
        conn.execute("revoke all on function app.reshaped from public")
        conn.execute("grant execute on function app.reshaped to pgtasker_test_viewer")
        files.become(NEW, "1.0.0")
        upgrader.upgrade(conn, "app")
        for question in (
            "has_table_privilege('pgtasker_test_viewer', 'app.listed', 'select with grant option')",
            "has_function_privilege('pgtasker_test_viewer', 'app.reshaped(text, bool)', 'execute')",
            "not has_function_privilege('public', 'app.reshaped(text, bool)', 'execute')",
            "not has_function_privilege('public', 'app._watch()', 'execute')",
            "has_function_privilege('public', 'app.kept()', 'execute')",
        ):
            assert conn.execute(f"select {question}").fetchone() == (True,), question
    finally:
        conn.execute("drop owned by pgtasker_test_viewer; drop role pgtasker_test_viewer")


@pytest.mark.newest_only
@pytest.mark.parametrize(
    ("foreign", "reason"),
    [
        ("create view public.mine as select * from app.listed", "view listed has changed and rule"),
        ("create view public.mine as select app.gone()", r"function gone\(\) has changed and rule"),
        (
            "create table public.mine (n int default app.reshaped('x'))",
            r"function reshaped\(text\) has changed and default value for column n",
        ),
    ],
)
def test_what_others_built_on_is_never_dropped(
    conn: psycopg.Connection[Any], files: Files, foreign: str, reason: str
) -> None:
    """The error names it, and nothing changes."""
    installer.install(conn, "app")
    conn.execute(foreign.encode())
    before = described(conn, "app")
    files.become(NEW, "1.0.0")
    with pytest.raises(installer.InstallError, match=reason):
        upgrader.upgrade(conn, "app")
    assert described(conn, "app") == before


@pytest.mark.newest_only
def test_what_others_have_beside_it_stays(conn: psycopg.Connection[Any], files: Files) -> None:
    """An overload of the application, and a view on what keeps its shape."""
    installer.install(conn, "app")
    conn.execute("create function app.reshaped(n int) returns int return n")
    conn.execute("create view public.mine as select app.kept()")
    files.become(NEW, "1.0.0")
    upgrader.upgrade(conn, "app")
    assert conn.execute("select app.reshaped(7), kept from public.mine").fetchone() == (7, 1)


@pytest.mark.newest_only
def test_a_failure_names_the_file_and_leaves_the_old_version(
    conn: psycopg.Connection[Any], files: Files
) -> None:
    """A mistake in a migration or in code takes the whole upgrade with it."""
    installer.install(conn, "app")
    before = described(conn, "app")
    files.become({**NEW, "migrations/0001_notes.sql": "alter table nowhere add x int;\n"}, "1.0.0")
    with pytest.raises(installer.InstallError, match=r"cannot upgrade, migrations/0001_notes.sql"):
        upgrader.upgrade(conn, "app")
    files.become({**NEW, "views/over_it.sql": "create view over_it as select 1 x, nix;\n"}, "1.1.0")
    with pytest.raises(
        installer.InstallError, match=r"over_it.sql line 1: column \"nix\" does not"
    ):
        upgrader.upgrade(conn, "app")
    assert described(conn, "app") == before


@pytest.mark.newest_only
def test_a_newer_install_is_left_alone(conn: psycopg.Connection[Any], files: Files) -> None:
    """An older package does not know what a newer one did; also `install` says so."""
    files.become(NEW, "1.10.0")
    installer.install(conn, "app")
    before = described(conn, "app")
    files.become(OLD, "1.9.0")
    with pytest.raises(installer.InstallError, match=r"version 1\.10\.0, newer than 1\.9\.0"):
        upgrader.upgrade(conn, "app")
    with pytest.raises(installer.AlreadyInstalledError, match="upgrade the package"):
        installer.install(conn, "app")
    assert described(conn, "app") == before
    with pytest.raises(installer.InstallError, match="nothing is installed in schema 'nowhere'"):
        upgrader.upgrade(conn, "nowhere")


@pytest.mark.newest_only
def test_an_upgrade_waits_for_others_without_holding_them_up(
    conn: psycopg.Connection[Any], files: Files, empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a transaction holds a lock it gives up again and again, and says whom it waits for."""
    monkeypatch.setattr(upgrader, "LOCK_TIMEOUT", 20)
    monkeypatch.setattr(upgrader, "PAUSE", 0.01)
    installer.install(conn, "app")
    before = described(conn, "app")
    files.become(NEW, "1.0.0")
    with psycopg.connect(empty_dsn, application_name="orders") as application:
        application.execute("insert into app.things values ('open')")
        with pytest.raises(installer.InstallError, match=r"process \d+ \(.*orders, idle in trans"):
            upgrader.upgrade(conn, "app", patience=0)
        assert described(conn, "app") == before

        def ended(holders: str) -> None:
            assert "orders" in holders
            application.execute("insert into app.things values ('not held up')")
            application.commit()

        upgrader.upgrade(conn, "app", told=ended)
    assert conn.execute("select count(*) from app.things").fetchone() == (2,)


@pytest.mark.newest_only
@pytest.mark.parametrize(("relation", "content"), [("things", NEW), ("listed", OLD)])
def test_an_upgrade_waits_for_readers_too(
    conn: psycopg.Connection[Any],
    files: Files,
    empty_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    relation: str,
    content: dict[str, str],
) -> None:
    """A report that is not yet committed holds up a migration, or a view that is replaced."""
    monkeypatch.setattr(upgrader, "LOCK_TIMEOUT", 20)
    monkeypatch.setattr(upgrader, "PAUSE", 0.01)
    installer.install(conn, "app")
    files.become(content, "1.0.0")
    waited_for: list[str] = []
    with psycopg.connect(empty_dsn, application_name="report") as reader:
        reader.execute(f"select from app.{relation}".encode())

        def ended(holders: str) -> None:
            waited_for.append(holders)
            reader.commit()

        assert upgrader.upgrade(conn, "app", told=ended).after == "1.0.0"
    assert "report, idle in transaction" in waited_for[0]


@contextmanager
def upgrading(dsn: str) -> Iterator[Future[upgrader.Upgrade]]:
    """An upgrade on a connection of its own, which has to be finished at the end."""
    with psycopg.connect(dsn, autocommit=True) as conn, ThreadPoolExecutor(1) as thread:
        done = thread.submit(upgrader.upgrade, conn, "app")
        yield done
        assert done.result(timeout=60).after == "1.0.0"


@pytest.mark.newest_only
def test_callers_go_on_while_an_upgrade_waits_for_vacuum(
    conn: psycopg.Connection[Any], files: Files, empty_dsn: str
) -> None:
    """Autovacuum gives way only to who waits longer than a second: with a lock that is in nobody
    else's way."""
    installer.install(conn, "app")
    files.become(NEW, "1.0.0")
    with psycopg.connect(empty_dsn) as vacuum:
        vacuum.execute("lock table app.things in share update exclusive mode")
        with upgrading(empty_dsn) as done:
            waits = "select pid from pg_stat_activity where %s = any (pg_blocking_pids(pid))"
            while not conn.execute(waits, [vacuum.info.backend_pid]).fetchall():
                assert not done.done()
            conn.execute("set lock_timeout = '20ms'")
            for _ in range(10):
                conn.execute("insert into app.things values ('not held up')")
            assert not done.done()
            vacuum.commit()


@pytest.mark.newest_only
def test_nobody_is_a_victim_of_a_deadlock_with_an_upgrade(
    conn: psycopg.Connection[Any], files: Files, empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has given up before anybody looks for one, whatever deadlock_timeout is."""
    monkeypatch.setattr(upgrader, "LOCK_TIMEOUT", 1000)  # here deadlock_timeout is 200 ms
    monkeypatch.setattr(upgrader, "PAUSE", 0.01)
    installer.install(conn, "app")
    files.become(NEW, "1.0.0")
    waits = "select from pg_locks where not granted and mode = 'AccessExclusiveLock'"
    with psycopg.connect(empty_dsn) as caller:
        caller.execute("update app.settings set value = value where name = 'schema_created'")
        with upgrading(empty_dsn):
            for _ in range(5):
                while not conn.execute(waits).fetchall():
                    pass
                caller.execute("savepoint here; insert into app.things values ('a')")
                caller.execute("rollback to here")
            caller.commit()


@pytest.mark.newest_only
def test_the_owner_stays_the_owner(conn: psycopg.Connection[Any], files: Files) -> None:
    """Who upgrades does not matter: what is new belongs to whom the rest belongs to."""
    conn.execute("create role pgtasker_test_owner; create role pgtasker_test_other")
    try:
        conn.execute("create schema app authorization pgtasker_test_owner")
        conn.execute("set role pgtasker_test_owner")
        installer.install(conn, "app")
        files.become(NEW, "1.0.0")
        conn.execute("reset role; grant usage on schema app to pgtasker_test_other")
        conn.execute("grant select on app.settings to pgtasker_test_other")
        conn.execute("set session authorization pgtasker_test_other")
        with pytest.raises(installer.InstallError, match="belongs to pgtasker_test_owner: upgr"):
            upgrader.upgrade(conn, "app")
        conn.execute("reset session authorization")
        upgrader.upgrade(conn, "app")
        owners = conn.execute(
            "select distinct p.proowner::regrole::text from pg_proc p"
            " where p.pronamespace = 'app'::regnamespace"
        )
        assert owners.fetchall() == [("pgtasker_test_owner",)]
    finally:
        conn.execute("reset session authorization; reset role; drop schema if exists app cascade")
        conn.execute("drop owned by pgtasker_test_owner, pgtasker_test_other")
        conn.execute("drop role pgtasker_test_owner, pgtasker_test_other")


@pytest.mark.newest_only
def test_the_owner_may_have_any_name(conn: psycopg.Connection[Any], files: Files) -> None:
    """Clouds call roles after people; one in capitals is not the one in small letters."""
    role = '"Upgrader.Of@pgtasker"'
    conn.execute(f"create role {role}".encode())
    try:
        conn.execute(f"create schema app authorization {role}; set role {role}".encode())
        installer.install(conn, "app")
        files.become(NEW, "1.0.0")
        upgrader.upgrade(conn, "app")
        conn.execute("reset role")
        files.become(NEW, "1.1.0")
        assert f"set local role {role};" in upgrader.upgrade(conn, "app").script
    finally:
        conn.execute(f"reset role; drop owned by {role} cascade; drop role {role}".encode())


def test_a_renamed_schema_is_repaired(own_database: Database) -> None:
    """Functions find the install by the name that it has now; what is in it is still there."""
    db = own_database.main
    task = db.run_with("a->b")
    db.run('alter schema {} rename to "Moved here"'.format(f'"{own_database.schema}"'))
    own_database.schema = "Moved here"
    with psycopg.connect(own_database.dsn, autocommit=True) as conn:
        with pytest.raises(psycopg.Error, match="does not exist"):
            conn.execute('select "Moved here".get_task(%s)', [task])
        upgrader.upgrade(conn, "Moved here")
        conn.execute('set search_path = "Moved here"')
        assert conn.execute("select state from get_task(%s)", [task]).fetchone() == ("pending",)
        assert conn.execute("select * from check_consistency()").fetchall() == []
        assert conn.execute("select value from settings where name = 'made_for_tests'").fetchone()
        conn.execute("set pgtasker.clock = '2040-01-01'")
        assert conn.execute("select extract(year from clock())").fetchone() == (2040,)


def test_no_catalog_is_locked_away_from_others(own_database: Database) -> None:
    """Views read some without which nobody can connect."""
    conn = own_database.main.conn
    with conn.transaction():
        upgrader.upgrade(conn, own_database.schema)
        locked = own_database.main.rows(
            "select l.relation::regclass::text, c.relnamespace = 'pg_catalog'::regnamespace"
            " as is_of_the_server from pg_locks l join pg_class c on c.oid = l.relation"
            " where l.pid = pg_backend_pid() and l.mode = 'AccessExclusiveLock'"
        )
    assert len(locked) > 20
    assert [lock for lock in locked if lock.is_of_the_server] == []
