"""One install for the tests of a module; what they leave in it must not matter to the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..support.databases import Databases
from . import installs


@pytest.fixture(scope="module")
def install(server: Databases) -> Iterator[installs.Install]:
    """An install with roles, in a database with nothing else."""
    made = installs.create(server)
    yield made
    made.main.assert_consistent()
    installs.drop(made)
