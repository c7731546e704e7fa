"""The database in which pairs of operations meet, one per worker and server."""

from __future__ import annotations

import pytest

from ..support.databases import Database, Databases
from .shapes import Arena

ARENAS = pytest.StashKey[dict[str, Arena]]()


@pytest.fixture
def arena(request: pytest.FixtureRequest, server: Databases) -> Arena:
    """Two sessions and the prepared shapes; each case restores the one that it needs."""
    arenas = request.config.stash.setdefault(ARENAS, {})
    if server.label not in arenas:
        database: Database = server.clone()
        arenas[server.label] = Arena(database)
    return arenas[server.label]
