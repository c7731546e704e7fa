"""Options, servers and fixtures of the test suite.

`db` is what most tests ask for: a session of a database with an install for tests, on each server
version in turn, clean at the start and found consistent at the end. The words that it understands
are in `support.session`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .support.databases import Database, Databases
from .support.servers import Run, Source, UnavailableError, find_sources
from .support.session import Session

pytest_plugins = ["pytester"]

SOURCES = pytest.StashKey[list[Source]]()
RUN = pytest.StashKey[Run]()
OPENED = pytest.StashKey[dict[str, Databases]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pgtasker")
    group.addoption(
        "--pg",
        action="append",
        default=[],
        metavar="VERSION",
        help="only this server: 18, 15, ..., dsn1 (may be repeated; default: all that are found)",
    )
    group.addoption(
        "--pg-dsn",
        action="append",
        default=[],
        metavar="DSN",
        help="one more server, whose user may create databases (also: PGTASKER_TEST_DSN)",
    )
    group.addoption(
        "--regenerate",
        action="store_true",
        help="write the golden files and the generated reference anew",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "newest_only: asks nothing that an older server would deny")
    config.addinivalue_line(
        "markers", "breaks_promises(why): leaves behind what no install should ever hold"
    )
    given = [*config.getoption("--pg-dsn"), os.environ.get("PGTASKER_TEST_DSN")]
    sources = find_sources([dsn for dsn in given if dsn], config.getoption("--pg"))
    if not sources:
        raise pytest.UsageError("no such PostgreSQL server here: see --pg and --pg-dsn")
    config.stash[SOURCES] = sources
    config.stash[OPENED] = {}
    worker_input: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker_input is None:
        config.stash[RUN] = Run.begin()
    else:
        config.stash[RUN] = Run(Path(worker_input["pgtasker_run"]))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["pgtasker_run"] = str(node.config.stash[RUN].directory)


def pytest_unconfigure(config: pytest.Config) -> None:
    for databases in config.stash.get(OPENED, {}).values():
        databases.close()
    if not hasattr(config, "workerinput") and RUN in config.stash:
        config.stash[RUN].end()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames:
        sources = metafunc.config.stash[SOURCES]
        if metafunc.definition.get_closest_marker("newest_only"):
            sources = sources[:1]
        labels = [source.label for source in sources]
        metafunc.parametrize("server", sources, ids=labels, indirect=True, scope="session")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Databases:
    """The databases of this worker on one server; most tests want `db` instead."""
    label, opened = request.param.label, request.config.stash[OPENED]
    if label not in opened:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        try:
            opened[label] = Databases(request.config.stash[RUN], request.param, worker)
        except UnavailableError as reason:
            pytest.skip(str(reason))
    return opened[label]


def _judge(database: Database, request: pytest.FixtureRequest) -> None:
    """At the end of a test no promise is broken, unless it says that it breaks them on purpose."""
    if request.node.get_closest_marker("breaks_promises") is None:
        database.main.assert_consistent()


@pytest.fixture
def database(server: Databases, request: pytest.FixtureRequest) -> Iterator[Database]:
    """The worker's database as after an install, at a time that stands still."""
    database = server.shared()
    yield database
    database.close_others()
    try:
        _judge(database, request)
    finally:
        database.reset()


@pytest.fixture
def db(database: Database) -> Session:
    """The main session of the worker's database."""
    return database.main


@pytest.fixture
def own_database(server: Databases, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database of the test's own, for what changes the catalog or must not be shared."""
    database = server.clone()
    yield database
    database.close_others()
    try:
        _judge(database, request)
    finally:
        database.close()
    server.drop(database.dsn)


@pytest.fixture
def empty_dsn(server: Databases) -> Iterator[str]:
    """The connection string of an empty database of the test's own."""
    dsn = server.empty()
    yield dsn
    server.drop(dsn)
