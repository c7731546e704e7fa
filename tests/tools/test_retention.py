"""Retention from outside of the database: `Workflow(retention=...)`, clients, `pgtasker purge`."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import pytest
from click.testing import CliRunner, Result
from psycopg.conninfo import make_conninfo

from pgtasker import AsyncClient, Client, Workflow
from pgtasker.cli import main
from pgtasker.rows import Json

from ..functions.rollups import roll_up
from ..support.databases import Database

pytestmark = pytest.mark.newest_only  # what differs between servers is the business of others

OLD = timedelta(days=30)


def finished(database: Database, *names: str, days: float) -> None:
    """A cancelled task of each workflow, so many days ago; sessions live at the time of today."""
    db = database.main
    for name in names:
        db.call("cancel_task", task_id=db.start(name))
    roll_up(db)
    database.set_clock((db.call("clock") + timedelta(days=days)).isoformat())


def purge(database: Database, *arguments: str, stdin: str | None = None) -> Result:
    """The command, in the time of the test."""
    where = ["--dsn", today(database), "--schema", database.schema]
    return CliRunner().invoke(main, [*where, "purge", *arguments], input=stdin)


def today(database: Database) -> str:
    """The DSN of sessions that live at the time of the test."""
    moment = str(database.clock).replace(" ", "T")
    return make_conninfo(database.dsn, options=f"-c pgtasker.clock={moment}")


@pytest.mark.parametrize("given", [86400, 86400.0, timedelta(days=1)])
def test_a_workflow_says_how_long_its_tasks_are_kept(
    database: Database, given: float | timedelta
) -> None:
    """In seconds, as every definition does."""
    workflow = Workflow("flow", retention=given)
    workflow.step(name="a")(lambda: None)
    assert workflow.definition()["retention"] == 86400
    with Client(database.session_dsn(), schema=database.schema) as client:
        client.register(workflow)
    assert database.main.one("select retention_seconds from named_tasks") == 86400


def test_a_document_says_it_too() -> None:
    """What it has is registered, and is no unknown field."""
    document: dict[str, Json] = {"name": "flow", "retention": 7200, "steps": [{"name": "a"}]}
    workflow = Workflow.from_document(document, {"a": lambda: None})
    assert workflow.definition()["retention"] == workflow.retention == 7200
    assert "retention" not in Workflow("flow").definition()


def test_a_client_purges(database: Database) -> None:
    """A bounded number, of a given age or by retention."""
    db = database.main
    db.define("a")
    db.define("a", name="short", retention=86400)
    finished(database, "flow", "flow", "flow", "short", days=31)
    with Client(db.conn, schema=database.schema) as client:
        assert client.purge_tasks() == 1
        assert client.purge_tasks(OLD, max_tasks=2) == 2

    async def rest() -> int:
        async with AsyncClient(today(database), schema=database.schema) as client:
            await client.set_setting("retention", "30 days")
            return await client.purge_tasks()

    assert asyncio.run(rest()) == 1


def test_the_command_purges_until_nothing_is_left(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In transactions of a bounded size, with pauses for others; what is not over stays."""
    pauses: list[float] = []
    monkeypatch.setattr(sys.modules["pgtasker.cli.purge"], "AT_ONCE", 2)
    monkeypatch.setattr(sys.modules["pgtasker.cli.purge"], "pause", pauses.append)
    db = database.main
    db.define("a")
    kept = db.start()
    finished(database, *["flow"] * 5, days=31)
    result = purge(database, "--older-than", "30d", "--yes")
    assert (result.exit_code, result.output) == (0, "purged 5 tasks\n")
    assert db.column("select task_id from tasks") == [kept]
    assert len(pauses) == 2
    assert all(seconds > 0 for seconds in pauses)
    finished(database, *["flow"] * 5, days=31)
    assert purge(database, "--older-than", "30d", "--yes", "--fast").output == "purged 5 tasks\n"
    assert len(pauses) == 2


def test_the_command_goes_by_retention(database: Database) -> None:
    """Without an age it asks nothing: this would happen anyway."""
    db = database.main
    db.define("a")
    db.define("a", name="short", retention=86400)
    finished(database, "flow", "short", days=31)
    assert purge(database).output == "purged 1 task\n"
    assert purge(database).output == "purged 0 tasks\n"


def test_the_command_asks_before_history_is_lost(database: Database) -> None:
    """Where nobody can be asked it wants --yes."""
    db = database.main
    db.define("a")
    finished(database, "flow", days=31)
    refused = purge(database, "--older-than", "30d")
    assert (refused.exit_code, "add --yes" in refused.stderr) == (1, True)
    assert db.one("select count(*) from tasks") == 1


@pytest.mark.parametrize(
    ("age", "status", "said"),
    [
        ("soon", 2, "'soon' is no time like 12h, 30d or 52w"),
        ("9" * 30 + "d", 2, "is no time like"),
        ("1h", 1, "older_than must be from 2 hours to 100 years, not 01:00:00"),
    ],
)
def test_an_age_that_is_none_is_refused(
    database: Database, age: str, status: int, said: str
) -> None:
    """By the command, or by the database."""
    result = purge(database, "--older-than", age, "--yes")
    assert (result.exit_code, said in result.stderr) == (status, True), result.stderr
