"""What the tests of `pgtasker.testing` share: a client of the test's database, in real time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgtasker import Client

from ..support.databases import Database


@pytest.fixture
def client(database: Database) -> Iterator[Client]:
    """A client on a connection of its own, as an application has it."""
    with Client(database.dsn, schema=database.schema) as client:
        yield client
