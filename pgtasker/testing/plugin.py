"""The pytest plugin: a database with pgtasker for the tests that ask for one.

It comes with the package; a test run that uses none of its fixtures does not notice it.

`pgtasker_run`
    runs a workflow to its end: `pgtasker_run(fulfil, {"order": 42}).state == "complete"`.
`pgtasker_client`
    a `Client` of the test's database.
`pgtasker_clock`
    the time in the session of that client, a `Clock`.
`pgtasker_inline`
    makes everything that is started run at once until the test ends: `pgtasker_inline(fulfil)`.
`pgtasker_database`
    the DSN of that database, for other clients; its install is as new, and emptied after the test.
`pgtasker_dsn`
    the DSN of the same database for the whole run, for what lives longer than a test.

The database is made on the server of `--pgtasker-dsn DSN` or PGTASKER_TEST_DSN, whose user must be
allowed to create databases, else on an embedded server of the run's own (pgtasker[embedded]). With
pytest-xdist every worker has its own. At the end of the run database and server are gone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pgtasker.client import Client
from pgtasker.errors import PgtaskerError
from pgtasker.rows import Json, Task
from pgtasker.testing import databases
from pgtasker.testing.clock import Clock
from pgtasker.testing.inline import inline
from pgtasker.testing.run import run_workflow
from pgtasker.workflow import Workflow

HOME = pytest.StashKey[Path]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the server be chosen."""
    parser.getgroup("pgtasker").addoption(
        "--pgtasker-dsn",
        metavar="DSN",
        help="the server on which the pgtasker fixtures make their databases "
        "(default: PGTASKER_TEST_DSN, else an embedded one)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Decide where an embedded server would live: one for all workers of a run."""
    given: dict[str, Any] = getattr(config, "workerinput", {})
    config.stash[HOME] = Path(given["pgtasker_home"]) if given else databases.home()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist."""
    node.workerinput["pgtasker_home"] = str(node.config.stash[HOME])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the embedded server, if there was need of one."""
    if HOME in config.stash and not hasattr(config, "workerinput"):
        databases.remove_server(config.stash[HOME])


@pytest.fixture(scope="session")
def pgtasker_dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    """The DSN of a database with an install for tests, of this process and for the whole run."""
    config = request.config
    with ExitStack() as stack:
        try:
            server = config.getoption("--pgtasker-dsn") or os.environ.get("PGTASKER_TEST_DSN")
            if not server:
                server = databases.start_server(config.stash[HOME])
            worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
            dsn = stack.enter_context(databases.temporary(server, worker))
        except PgtaskerError as error:
            pytest.fail(str(error), pytrace=False)
        yield dsn


@pytest.fixture(scope="session")
def _pgtasker_install(pgtasker_dsn: str) -> Iterator[databases.Install]:
    install = databases.Install(pgtasker_dsn)
    yield install
    install.close()


@pytest.fixture
def pgtasker_database(pgtasker_dsn: str, _pgtasker_install: databases.Install) -> Iterator[str]:
    """The DSN of a database whose install is as new; whatever the test leaves there is removed."""
    yield pgtasker_dsn
    _pgtasker_install.reset()


@pytest.fixture
def pgtasker_client(pgtasker_database: str) -> Iterator[Client]:
    """A client of the test's database, each of whose calls is a transaction of its own."""
    with Client(pgtasker_database) as client:
        yield client


@pytest.fixture
def pgtasker_clock(pgtasker_client: Client) -> Clock:
    """The time in the session of `pgtasker_client`."""
    return Clock(pgtasker_client)


@pytest.fixture
def pgtasker_run(pgtasker_client: Client) -> Callable[..., Task]:
    """Runs a workflow to its end in the test's database: `run_workflow` without its client."""

    def run(workflow: Workflow, context: Json = None, *, raise_errors: bool = False) -> Task:
        return run_workflow(pgtasker_client, workflow, context, raise_errors=raise_errors)

    return run


@pytest.fixture
def pgtasker_inline() -> Iterator[Callable[..., None]]:
    """Makes what is started run at once until the test ends: `inline` without its block."""
    with ExitStack() as stack:

        def begin(*workflows: Workflow, raise_errors: bool = False) -> None:
            stack.enter_context(inline(*workflows, raise_errors=raise_errors))

        yield begin
