"""The documents, followed word by word."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgtasker import embedded, installer

from ..conftest import RUN
from .node import environment, installed
from .pages import Page, Shell, pages

DOCUMENTS = list(pages("README.md", "docs/*.md", "docs/howto/*.md", "docs/explanation/*.md"))


@pytest.mark.parametrize("page", DOCUMENTS, ids=str)
def test_every_block_is_shown_written_or_run(page: Page):
    """Nothing stands in a document that nobody tries, unless it says why."""
    left = [f"{page.name}:{block.line}" for block in page.blocks if not block.is_explained]
    assert left == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=str)
def test_shown_files_are_those_of_the_project(page: Page, request: pytest.FixtureRequest):
    """A block under the name of a file is that file, or a part of it."""
    same(page, page.shows(), request)


def same(page: Page, corrected: str, request: pytest.FixtureRequest) -> None:
    """The page is as it should be; with --regenerate it is made to."""
    if request.config.getoption("--regenerate"):
        page.path.write_text(corrected)
    else:
        assert page.text == corrected


def shell_environment(dsn: str | None) -> dict[str, str]:
    """A reader's environment: pgtasker, python and psql are found, libpq finds the database."""
    known = environment(dsn or "")
    programs = [Path(sys.executable).parent, Path(embedded.psql()).parent]
    kept = {
        name: value
        for name, value in known.items()
        if not name.startswith(("PGTASKER_", "PYTEST_", "PYTHON", "VIRTUAL_ENV"))
    }
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    return {**kept, "PATH": path, "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "dumb"}


@pytest.fixture
def shell(
    page: Page, empty_dsn: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Shell]:
    """A shell where the page begins, that finds a database."""
    if page.begins_with_an_install:
        with psycopg.connect(empty_dsn) as connection:
            installer.install(connection, "pgtasker")
    if page.needs_node:
        installed(request.config.stash[RUN])
    shell = Shell(
        page.begin(tmp_path), {**shell_environment(empty_dsn), "PGTASKER_TEST_DSN": empty_dsn}
    )
    yield shell
    shell.close()


@pytest.mark.newest_only
@pytest.mark.parametrize(
    "page", [page for page in pages("docs/howto/*.md") if page.is_followed], ids=str
)
def test_a_guide_followed_word_by_word_works(
    page: Page, shell: Shell, request: pytest.FixtureRequest
):
    """Every command does what the page says, and prints it."""
    same(page, page.follow(shell), request)
