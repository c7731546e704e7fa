"""Upgrades of the real schema: to later versions made up from it, back, and from releases."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from pgtasker import installer, schema_files, upgrader
from pgtasker.cli import main

from ..support import versions
from ..support.databases import Databases
from ..support.graph import workflow
from ..support.servers import UnavailableError

RELEASED = Path(__file__).parents[1] / "released"
NEWEST = 3  # how many migrations the last of the made-up versions has

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files of this version and of three later ones."""
    directory = tmp_path_factory.mktemp("packages")
    return [versions.write(directory, number) for number in range(NEWEST + 1)]


@pytest.fixture
def connect(server: Databases) -> Iterator[Callable[[], Connection]]:
    """Connections to databases with nothing in them, each to one of its own."""
    opened: dict[str, Connection] = {}

    def one_more() -> Connection:
        dsn = server.empty()
        opened[dsn] = psycopg.connect(dsn, autocommit=True)
        return opened[dsn]

    yield one_more
    for dsn, conn in opened.items():
        conn.close()
        server.drop(dsn)


def dumped(server: Databases, conn: Connection) -> str:
    """What pg_dump says of the install, and what its settings say of it."""
    try:
        text = versions.dump(server.facts, conn.info.dsn)
    except UnavailableError as reason:
        pytest.skip(str(reason))
    rows = conn.execute(
        "select name, value, kind, description from pgtasker.settings"
        " where name <> 'install_id' order by name"
    ).fetchall()
    return "\n".join([text, *map(str, rows)])


def installed(conn: Connection, files: Path, number: int) -> None:
    """Install the package with so many migrations."""
    with versions.package(files, versions.version_of(number)):
        installer.install(conn, "pgtasker")


def upgraded(conn: Connection, files: Path, number: int, *, back: bool = False) -> upgrader.Upgrade:
    """Upgrade to the package with so many migrations, or go back to it."""
    with versions.package(files, versions.version_of(number)):
        return upgrader.upgrade(conn, "pgtasker", back=back)


def work(conn: Connection) -> None:
    """A task from its start to its end, by the SQL surface as the first version has it."""

    def asked(query: str, *values: object) -> Any:
        row = conn.execute(f"select {query}".encode(), values or None).fetchone()
        return row[0] if row else None

    conn.execute("set search_path = pgtasker")
    definition = json.dumps(workflow("a->b"))
    asked("register_workflow(definition => %s)", definition)
    task = asked("create_task(name => 'flow')")
    runner = asked("register_runner(name => 'one')")
    outcomes = "[]"
    for name in ("a", "b"):
        [step] = asked(
            "claimed from advance(runner_id => %s, outcomes => %s, max_steps => 1)",
            runner,
            outcomes,
        )
        assert step["step_name"] == name
        asked(
            "extend_step(workflow_step_id => %s, claim_id => %s, progress => '{}')",
            step["workflow_step_id"],
            step["claim_id"],
        )
        held = {key: step[key] for key in ("workflow_step_id", "claim_id")}
        outcomes = json.dumps([{**held, "outcome": "complete", "results": 1}])
    asked("lost from advance(runner_id => %s, outcomes => %s, max_steps => 0)", runner, outcomes)
    assert asked("state from get_task(task_id => %s)", task) == "complete"
    assert conn.execute("select * from check_consistency()").fetchall() == []
    conn.execute("reset search_path")


def test_an_upgrade_to_the_same_version_changes_nothing(
    server: Databases, connect: Callable[[], Connection]
) -> None:
    """Bodies, comments, grants, options, order of columns: all is as the install made it."""
    conn = connect()
    installer.install(conn, "pgtasker")
    before = dumped(server, conn)
    assert upgrader.upgrade(conn, "pgtasker").dropped == ()
    assert dumped(server, conn) == before


@pytest.mark.parametrize("steps", [[3], [1, 2, 3]], ids=["at once", "one by one"])
def test_an_install_and_its_migrations_are_as_a_fresh_install(
    server: Databases, connect: Callable[[], Connection], packages: list[Path], steps: list[int]
) -> None:
    """As pg_dump writes them, and as settings say."""
    conn, fresh = connect(), connect()
    installed(conn, packages[0], 0)
    work(conn)
    for number in steps:
        upgraded(conn, packages[number], number)
        work(conn)
    installed(fresh, packages[3], 3)
    assert dumped(server, conn) == dumped(server, fresh)
    with versions.package(packages[3], versions.version_of(3)):
        assert installer.uninstall(conn, "pgtasker")


@pytest.mark.newest_only
@pytest.mark.parametrize(
    "change",
    [
        "alter table pgtasker.tasks add column forgotten int",
        "alter table pgtasker.tasks set (fillfactor = 70)",
        "comment on column pgtasker.tasks.extra_1 is 'Forgotten.'",
        "grant select on pgtasker.notes_1 to public",
        "alter table pgtasker.notes_1 alter column body drop not null",
        "drop index pgtasker.notes_1_task",
    ],
)
def test_what_a_migration_forgot_is_seen(
    server: Databases, connect: Callable[[], Connection], packages: list[Path], change: str
) -> None:
    """Whatever differs between an upgraded install and a fresh one stands in the dump."""
    conn, fresh = connect(), connect()
    installed(conn, packages[0], 0)
    upgraded(conn, packages[1], 1)
    installed(fresh, packages[1], 1)
    assert dumped(server, conn) == dumped(server, fresh)
    fresh.execute(change.encode())
    assert dumped(server, conn) != dumped(server, fresh)


def test_going_back_brings_the_older_code_and_keeps_the_tables(
    server: Databases, connect: Callable[[], Connection], packages: list[Path]
) -> None:
    """What was written meanwhile stays, work goes on, and the next upgrade is as the first was."""
    conn, never, fresh = connect(), connect(), connect()
    installed(conn, packages[0], 0)
    upgraded(conn, packages[3], 3)
    conn.execute("insert into pgtasker.notes_3 (task_id, body) values (1, 'kept')")
    work(conn)
    done = upgraded(conn, packages[0], 0, back=True)
    assert (done.before, done.after, done.migrations) == ("0.1.3", "0.1.0", ())
    assert "function _latest_3()" in done.dropped
    installed(never, packages[0], 0)
    assert code(conn) == code(never)
    work(conn)
    upgraded(conn, packages[3], 3)
    work(conn)
    installed(fresh, packages[3], 3)
    assert dumped(server, conn) == dumped(server, fresh)
    assert conn.execute("select body from pgtasker.notes_3").fetchall() == [("kept",)]


def code(conn: Connection) -> list[Any]:
    """Every function, trigger and view; `*` stands for the columns that there are."""
    rows = conn.execute(
        """
        select pg_get_functiondef(p.oid), obj_description(p.oid, 'pg_proc'), p.proacl::text
        from pg_proc p where p.pronamespace = 'pgtasker'::regnamespace
        union all
        select pg_get_triggerdef(t.oid), obj_description(t.oid, 'pg_trigger'), null
        from pg_trigger t join pg_class c on c.oid = t.tgrelid
        where c.relnamespace = 'pgtasker'::regnamespace and not t.tgisinternal
        union all
        select pg_get_viewdef(c.oid), obj_description(c.oid, 'pg_class'), c.relacl::text
        from pg_class c where c.relnamespace = 'pgtasker'::regnamespace and c.relkind = 'v'
        """
    )
    return sorted((re.sub(r",\s+\w+\.extra_\d", "", text), *more) for text, *more in rows)


@pytest.mark.newest_only
def test_going_back_is_refused_where_it_would_not_work(
    connect: Callable[[], Connection], packages: list[Path]
) -> None:
    """To tables that the older code does not fit, and to where one is already; nothing changes."""
    conn = connect()
    installed(conn, packages[0], 0)
    with pytest.raises(
        installer.InstallError, match=r"has version 0\.1\.0, not newer than 0\.1\.0"
    ):
        upgraded(conn, packages[0], 0, back=True)
    with versions.package(packages[1], "0.2.0", compatible_since="0.2.0"):
        upgrader.upgrade(conn, "pgtasker")
    before = code(conn)
    with pytest.raises(
        installer.InstallError, match=r"only of 0\.2\.0 and newer: restore the back"
    ):
        upgraded(conn, packages[0], 0, back=True)
    with pytest.raises(installer.InstallError, match=r"version 0\.2\.0, newer than .*downgrade"):
        upgraded(conn, packages[0], 0)
    assert code(conn) == before
    assert installer.installed_version(conn, "pgtasker") == "0.2.0"


@pytest.mark.newest_only
def test_what_was_taken_back_is_removed_by_the_newer_package(
    connect: Callable[[], Connection], packages: list[Path]
) -> None:
    """The older one does not know the tables of the newer, and would leave them."""
    conn = connect()
    installed(conn, packages[1], 1)
    upgraded(conn, packages[0], 0, back=True)
    with pytest.raises(installer.InstallError, match="uninstall with the newer package"):
        installer.uninstall(conn, "pgtasker")
    work(conn)
    upgraded(conn, packages[1], 1)
    with versions.package(packages[1], versions.version_of(1)):
        assert installer.uninstall(conn, "pgtasker")


@pytest.mark.newest_only
def test_the_command_goes_back(connect: Callable[[], Connection], packages: list[Path]) -> None:
    """`pgtasker downgrade` says what it did; with --dry-run it does nothing."""
    conn = connect()
    installed(conn, packages[0], 0)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["--dsn", conn.info.dsn, *arguments])

    refused = run("downgrade")
    assert (refused.exit_code, "not newer than 0.1.0" in refused.stderr) == (1, True)
    upgraded(conn, packages[1], 1)
    assert "drop function if exists _latest_1();" in run("downgrade", "--dry-run").output
    assert installer.installed_version(conn, "pgtasker") == "0.1.1"
    assert run("downgrade").output.splitlines() == [
        "downgraded pgtasker 0.1.1 to 0.1.0 in schema 'pgtasker'",
        "  dropped function _latest_1()",
        "  dropped function extend_step(bigint, bigint, interval, jsonb, text)",
    ]
    work(conn)


# What was released


def releases() -> list[Any]:
    """The installs of the versions that were released, as `make keep-release` kept them."""
    none = pytest.param(RELEASED, marks=pytest.mark.skip("no version was released yet"), id="none")
    return [pytest.param(file, id=file.name) for file in sorted(RELEASED.glob("*.gz"))] or [none]


def differences(
    server: Databases, conn: Connection, fresh: Connection, release: Path
) -> tuple[str, str]:
    """What this package makes of a released install, and a fresh install of this package."""
    conn.execute(gzip.decompress(release.read_bytes()))
    upgrader.upgrade(conn, "pgtasker")
    installer.install(fresh, "pgtasker")
    return dumped(server, conn), dumped(server, fresh)


@pytest.mark.parametrize("release", releases())
def test_a_released_install_becomes_as_a_fresh_one(
    server: Databases, connect: Callable[[], Connection], release: Path
) -> None:
    """A table that changed without a migration would stay as it was released."""
    found, expected = differences(server, connect(), connect(), release)
    assert found == expected


@pytest.mark.newest_only
def test_a_table_that_changes_without_a_migration_is_seen(
    server: Databases, connect: Callable[[], Connection], packages: list[Path], tmp_path: Path
) -> None:
    """Were this version released and its tables changed, the test above would fail."""
    release = tmp_path / "0.1.0.sql.gz"
    release.write_bytes(gzip.compress(installer.render_install("pgtasker").encode()))
    found, expected = differences(server, connect(), connect(), release)
    assert found == expected
    with versions.package(packages[1], versions.version_of(1)):
        found, expected = differences(server, connect(), connect(), release)
        assert found == expected
        [migration] = (packages[1] / "migrations").iterdir()
        kept = migration.read_text()
        migration.write_text(kept.replace("alter table tasks", "-- alter table tasks"))
        try:
            found, expected = differences(server, connect(), connect(), release)
        finally:
            migration.write_text(kept)
        assert found != expected


def test_this_version_is_compatible_since_one_that_is_not_newer() -> None:
    """Nobody could work on the schema otherwise."""
    assert schema_files.understands(schema_files.SCHEMA_VERSION, schema_files.COMPATIBLE_SINCE)
    assert not schema_files.is_newer(schema_files.COMPATIBLE_SINCE)
