"""The tutorial, followed word by word in an empty folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgtasker.testing import databases

from ..conftest import RUN
from .node import installed
from .pages import ROOT, Page, Shell
from .test_pages import same, shell_environment

# The environment is fresh and the package is installed into it, but by the pip that is there.
SAID = {
    "/path/to/pgtasker": str(ROOT),
    "-m venv .venv": "-m venv --without-pip .venv",
    "pip install": f"{sys.executable} -m pip --python .venv/bin/python install",
}


@pytest.fixture
def shell(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shell]:
    """A shell in an empty folder, whose embedded server is its own."""
    installed(request.config.stash[RUN])
    home = databases.home()
    home.mkdir(mode=0o755)
    environment = {**shell_environment(None), "PGTASKER_HOME": str(home), "PIP_NO_COMPILE": "1"}
    shell = Shell(tmp_path, environment)
    yield shell
    shell.close()
    databases.remove_server(home)


@pytest.mark.embedded
def test_the_tutorial_followed_word_by_word_works(shell: Shell, request: pytest.FixtureRequest):
    """From nothing to two languages; every command prints what the page says."""
    page = Page(ROOT / "docs" / "tutorial.md")
    same(page, page.follow(shell, SAID), request)
