"""Tasks that are started in the transaction of an application: examples/with_django and others."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from pgtasker import Client, UnknownWorkflow, installer

from .pages import ROOT
from .test_pages import shell_environment

pytestmark = pytest.mark.newest_only

DJANGO = """
import os
import django

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()

from django.core.management import call_command
from django.db import connection, transaction
from pgtasker import Client
from shop.models import Order
from shop.orders import place_order
from shop.workflows import fulfil

call_command("migrate", verbosity=0)
call_command("makemigrations", check=True, dry_run=True, verbosity=0)
with Client() as client:
    client.register(fulfil)

try:
    with transaction.atomic():
        place_order("Ada", 42)
        raise KeyError("the card is refused")
except KeyError:
    assert Client().list_tasks() == [] and Order.objects.count() == 0

task_id = place_order("Ada", 42)
assert Client().get_task(task_id).context == {"order_id": Order.objects.get().pk}

with transaction.atomic():
    joined = Client(connection.connection)
    task = joined.get_task(task_id)
    assert task.context == {"order_id": Order.objects.get().pk}, task.context
    joined.cancel_task(task_id, actor="Ada")
    entry = joined.get_task_history(task_id)[-1]
    assert (entry.to_state, entry.actor) == ("cancelled", "Ada")

call_command("migrate", "shop", "0001", verbosity=0)
print("done")
"""


def run(directory: Path, dsn: str, *command: str) -> str:
    """What a command of a reader prints that must succeed."""
    done = subprocess.run(
        command,
        cwd=directory,
        env=shell_environment(dsn),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copied(example: str, tmp_path: Path, migrations: str, dsn: str) -> Path:
    """A copy of an example with the SQL that its migration installs."""
    directory = tmp_path / example
    shutil.copytree(ROOT / "examples" / example, directory)
    sql = run(directory, dsn, "pgtasker", "sql")
    (directory / migrations / "pgtasker.sql").write_text(sql)
    return directory


def test_django_and_the_engine_share_a_transaction(empty_dsn: str, tmp_path: Path):
    """A rollback takes the task with the order; reading and operating joins as well.

    The migrations install the engine, fit the models, and go back.
    """
    directory = copied("with_django", tmp_path, "shop/migrations", empty_dsn)
    printed = run(directory, empty_dsn, sys.executable, "-c", DJANGO)
    assert printed == "done\n"
    with psycopg.connect(empty_dsn) as connection:
        assert installer.installed_version(connection, "pgtasker") is None


@pytest.fixture
def shop(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of examples/with_sqlalchemy, its table, and its workflow registered."""
    monkeypatch.syspath_prepend(ROOT / "examples" / "with_sqlalchemy")
    import shop

    with psycopg.connect(empty_dsn) as connection:
        installer.install(connection, "pgtasker")
    with Client(empty_dsn) as client:
        client.register(shop.fulfil)
    yield shop
    del sys.modules["shop"]


def sessions(dsn: str, module: str, factory: str) -> Any:
    """An engine of SQLAlchemy whose connections are psycopg's, opened by our DSN."""
    import importlib

    made = getattr(importlib.import_module(module), factory)
    return made("postgresql+psycopg://", connect_args=psycopg.conninfo.conninfo_to_dict(dsn))


def test_sqlalchemy_and_the_engine_share_a_transaction(shop: Any, empty_dsn: str):
    """An order and its task are committed together, or neither is."""
    from sqlalchemy.orm import Session

    engine = sessions(empty_dsn, "sqlalchemy", "create_engine")
    shop.Base.metadata.create_all(engine)
    with Client(empty_dsn) as client:
        with Session(engine) as session:
            shop.place_order(session, "Ada")
            session.rollback()
        assert client.list_tasks() == []
        with Session(engine) as session, session.begin():
            task_id = shop.place_order(session, "Ada")
            assert client.list_tasks() == []
        assert client.get_task(task_id).context == {"order_id": 2}
    engine.dispose()


def test_an_asynchronous_session_shares_its_transaction_too(shop: Any, empty_dsn: str):
    """The same with asyncio; a workflow that nobody registered is an error that SQLAlchemy sees."""
    from sqlalchemy.ext.asyncio import AsyncSession

    engine = sessions(empty_dsn, "sqlalchemy.ext.asyncio", "create_async_engine")

    async def main() -> int:
        async with engine.begin() as connection:
            await connection.run_sync(shop.Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            await shop.place_order_async(session, "Ada")
            await session.rollback()
        async with AsyncSession(engine) as session, session.begin():
            task_id: int = await shop.place_order_async(session, "Ada")
        shop.fulfil.name = "unheard_of"
        async with AsyncSession(engine) as session:
            with pytest.raises(UnknownWorkflow):
                await shop.place_order_async(session, "Ada")
        await engine.dispose()
        return task_id

    task_id = asyncio.run(main())
    with Client(empty_dsn) as client:
        assert [task.task_id for task in client.list_tasks()] == [task_id]


def test_alembic_installs_and_removes_the_engine(empty_dsn: str, tmp_path: Path):
    """The migration of the page works, and leaves Alembic's own table where it was."""
    directory = copied("with_sqlalchemy", tmp_path, "migrations/versions", empty_dsn)
    run(directory, empty_dsn, "alembic", "upgrade", "head")
    with psycopg.connect(empty_dsn) as connection:
        assert installer.installed_version(connection, "pgtasker") is not None
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'")
        assert sorted(name for (name,) in tables) == ["alembic_version", "orders"]
    run(directory, empty_dsn, "alembic", "downgrade", "0001")
    with psycopg.connect(empty_dsn) as connection:
        assert installer.installed_version(connection, "pgtasker") is None


def test_a_member_of_the_owner_may_use_the_install(empty_dsn: str):
    """An application connects as a role of its own, to which the owner's was granted."""
    suffix = uuid.uuid4().hex[:8]
    owner, app = sql.Identifier(f"owner_{suffix}"), sql.Identifier(f"app_{suffix}")
    with psycopg.connect(empty_dsn, autocommit=True) as connection:

        def run(text: LiteralString) -> None:
            connection.execute(sql.SQL(text).format(owner=owner, app=app))

        run("create role {owner}")
        run("create role {app}")
        try:
            run("grant create on schema public to {owner}")
            run("create schema pgtasker authorization {owner}")
            run("grant {owner} to {app}")
            run("set role {owner}")
            installer.install(connection, "pgtasker")
            run("set role {app}")
            client = Client(connection)
            client.register({"name": "flow", "steps": [{"name": "only"}]})
            task_id = client.start("flow")
            client.cancel_task(task_id)
            assert client.get_task(task_id).state == "cancelled"
        finally:
            run("reset role")
            run("drop owned by {owner}, {app} cascade")
            run("drop role {app}, {owner}")
