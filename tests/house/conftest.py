"""An install as users get it, in a database with nothing else, for the rules to look at."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pgtasker import installer

from ..support.databases import Database, Databases
from ..support.session import Session


@pytest.fixture(scope="session")
def catalog(server: Databases) -> Iterator[Session]:
    dsn = server.empty()
    with psycopg.connect(dsn) as conn:
        installer.install(conn, "pgtasker")
    database = Database(dsn, "pgtasker")
    yield database.main
    database.close()
    server.drop(dsn)
