"""What a runner makes of a database that it cannot use, or not yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from structlog.testing import capture_logs

from pgtasker import ConfigurationError, Runner, Workflow
from pgtasker.runner.control import require_understood
from pgtasker.runner.link import needs_a_person
from pgtasker.schema_files import SCHEMA_VERSION

from ..support.databases import Database
from .bench import reached, run
from .field import PATIENCE, Field

SECRET = "open-sesame-42"

SERVER = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: '


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """What runners log, instead of printing it."""
    with capture_logs() as entries:
        yield entries


def flow() -> Workflow:
    """A workflow of one step."""
    workflow = Workflow("flow")
    workflow.step(name="work")(lambda: None)
    return workflow


@pytest.mark.parametrize(
    "words",
    [
        'FATAL:  password authentication failed for user "app"',
        'FATAL:  Peer authentication failed for user "app"',
        'FATAL:  role "app" does not exist',
        'FATAL:  database "shop" does not exist',
        'FATAL:  role "app" is not permitted to log in',
        'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "app", database "shop"',
        'FATAL:  pg_hba.conf rejects connection for host "10.0.0.1"',
        'FATAL:  permission denied for database "shop"\nDETAIL:  User does not have CONNECT.',
        "fe_sendauth: no password supplied",
        "server does not support SSL, but SSL was required",
        "SSL error: certificate verify failed",
        'FATAL:  unrecognized configuration parameter "foo"',
    ],
)
def test_a_server_that_lets_nobody_in_needs_a_person(words: str):
    """Retrying would change nothing."""
    assert needs_a_person(psycopg.OperationalError(SERVER + words))


@pytest.mark.parametrize("dsn", ["host=/x port=abc", "host=/x sslmode=bogus", "service=nowhere"])
def test_a_dsn_that_libpq_cannot_use_needs_a_person(dsn: str):
    """It parses, but no connection can be opened with it."""

    async def scenario() -> None:
        with pytest.raises(ConfigurationError, match=r"^cannot connect: .*: put the DSN right"):
            async with asyncio.timeout(PATIENCE):
                await Runner(dsn, [flow()]).run()

    run(scenario)


def test_a_password_that_was_wanted_and_not_given_needs_a_person():
    """libpq knows it, whatever the language of its words."""
    wanted: Any = SimpleNamespace(needs_password=True)
    assert needs_a_person(psycopg.OperationalError("Passwort nicht angegeben", pgconn=wanted))


@pytest.mark.parametrize(
    "words",
    [
        "Connection refused\n\tIs the server running on that host and accepting connections?",
        "FATAL:  the database system is starting up",
        "FATAL:  the database system is shutting down",
        "FATAL:  sorry, too many clients already",
        'FATAL:  too many connections for role "app"',
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        'FATAL:  database "shop" is not currently accepting connections',
        "server closed the connection unexpectedly",
        "SCHWERWIEGEND:  eine Meldung in einer anderen Sprache",
    ],
)
def test_a_server_that_is_away_or_full_does_not(words: str):
    """It may be back any moment; so may one whose words are not known."""
    assert not needs_a_person(psycopg.OperationalError(SERVER + words))


def test_of_several_hosts_none_may_be_merely_away():
    """The one that is away may be the one that lets us in."""
    refused = SERVER + 'FATAL:  role "app" does not exist'
    away = SERVER + "Connection refused"
    several = "{last}\nMultiple connection attempts failed. All failures were:\n- a: {a}\n- b: {b}"
    for last, a, b, expected in (
        (refused, refused, refused, True),
        (refused, away, refused, False),
        (away, refused, away, False),
    ):
        error = psycopg.OperationalError(several.format(last=last, a=a, b=b))
        assert needs_a_person(error) is expected


def test_other_errors_need_no_person():
    """A name that cannot be resolved yet, a timeout, an error of a statement."""
    for error in (
        psycopg.OperationalError("failed to resolve host 'db': Name or service not known"),
        psycopg.errors.ConnectionTimeout("connection timeout expired"),
        psycopg.errors.InsufficientPrivilege("permission denied for database"),
        OSError("authentication failed"),
    ):
        assert not needs_a_person(error)


@pytest.mark.newest_only
@pytest.mark.parametrize("which", ["dbname", "user"])
def test_a_database_or_role_that_does_not_exist_ends_the_runner_at_once(
    database: Database, logged: list[Any], which: str
):
    """With one line that says what is wrong, and no password."""
    dsn = make_conninfo(database.dsn, password=SECRET, **{which: "nowhere"})

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE):
            await Runner(dsn, [flow()], schema=database.schema).run()

    with pytest.raises(ConfigurationError) as raised:
        run(scenario)
    text = str(raised.value)
    assert text.startswith("cannot connect: ")
    assert '"nowhere" does not exist: put the DSN right' in text
    assert "\n" not in text
    assert SECRET not in text + str(logged)
    assert [line for line in logged if line["event"] == "no connection"] == []


def test_a_server_that_is_not_there_is_waited_for(tmp_path: Path, logged: list[Any]):
    """One warning each time, with growing pauses and without the password."""

    async def scenario() -> None:
        runner = Runner(f"host={tmp_path} password={SECRET}", [flow()])
        running = asyncio.create_task(runner.run())

        def lines() -> list[Any]:
            return [line for line in logged if line["event"] == "no connection"]

        await reached(lambda: len(lines()) == 4)
        assert all(line["log_level"] == "warning" for line in lines())
        assert lines()[0]["retry_in"] < lines()[3]["retry_in"]
        runner.stop()
        await running

    run(scenario)
    assert SECRET not in str(logged)


@pytest.mark.parametrize(
    ("version", "compatible_since", "understood"),
    [
        (SCHEMA_VERSION, "", True),
        ("0.0.1", "", True),
        (f"{SCHEMA_VERSION}-rc1", "", True),
        ("0.9.9", SCHEMA_VERSION, True),
        ("0.9.9", "0.0.9", True),
        ("0.9.9", "0.1.1", False),
        ("0.10.9", "0.10.0", False),
        ("9.9.9", SCHEMA_VERSION, False),
        ("10.0.0-rc1", "10.0.0", False),
        ("10.0", "0", False),
    ],
)
def test_a_schema_is_understood_if_it_says_so_within_a_major_version(
    version: str, compatible_since: str, understood: bool
):
    """By its numbers: 10 comes after 9; a candidate counts as its release."""
    if understood:
        require_understood(version, compatible_since, "pgtasker")
        return
    with pytest.raises(ConfigurationError) as raised:
        require_understood(version, compatible_since, "pgtasker")
    assert str(raised.value) == (
        f'schema "pgtasker" is version {version}, this pgtasker understands up to '
        f"{SCHEMA_VERSION}: upgrade the package"
    )


@pytest.mark.newest_only
def test_an_older_schema_is_told_and_worked_with(own_database: Database, logged: list[Any]):
    """Once, with what to do."""
    field = Field(own_database)
    field.db.run("update settings set value = '0.0.1' where name = 'schema_version'")

    async def scenario() -> None:
        async with field.running(flow()):
            assert (await field.run(flow())).state == "complete"

    field.play(scenario)
    [line] = [line for line in logged if line["event"] == "schema is older than this package"]
    assert (line["schema_version"], line["advice"]) == ("0.0.1", "pgtasker upgrade")


@pytest.mark.newest_only
def test_a_newer_schema_that_is_compatible_is_told_and_worked_with(
    own_database: Database, logged: list[Any]
):
    """Once, also while the runner works."""
    field = Field(own_database)
    field.db.call("set_setting", name="lease", value="300 ms")

    def told() -> list[Any]:
        return [line for line in logged if line["event"] == "schema is newer than this package"]

    async def scenario() -> None:
        async with field.running(flow()):
            field.db.run("update settings set value = '0.1.7' where name = 'schema_version'")
            await reached(lambda: len(told()) == 1)
            for _ in range(2):
                assert (await field.run(flow())).state == "complete"

    field.play(scenario)
    [line] = told()
    assert (line["schema_version"], line["package_has"]) == ("0.1.7", SCHEMA_VERSION)


@pytest.mark.newest_only
@pytest.mark.parametrize("how", ["at work", "without a connection"])
def test_a_running_runner_that_finds_a_newer_schema_ends(own_database: Database, how: str):
    """It looks with each heartbeat, and when it comes back after it lost its connection."""
    field = Field(own_database)
    field.db.call("set_setting", name="lease", value="1 s")
    field.db.run("update settings set value = '9.9.9' where name = 'schema_version'")

    async def scenario() -> None:
        runner = Runner(own_database.dsn, [flow()], schema=own_database.schema)
        with pytest.raises(ConfigurationError, match=r"is version 9\.9\.9"):
            await runner.run()

        field.db.run("update settings set value = %s where name = 'schema_version'", SCHEMA_VERSION)
        runner = Runner(own_database.dsn, [flow()], schema=own_database.schema)
        running = asyncio.create_task(runner.run())
        await field.until(lambda: runner.health().ready)
        field.db.run("update settings set value = '9.9.9' where name = 'schema_version'")
        if how == "without a connection":
            for pid in field.connections():
                field.db.run("select pg_terminate_backend(%s, 5000)", pid)
        with pytest.raises(ConfigurationError, match=r"is version 9\.9\.9"):
            async with asyncio.timeout(PATIENCE):
                await running

    field.play(scenario)
    assert [row.state for row in field.db.call("list_runners")] == ["deregistered"]
