"""What is generated from an install is committed as it would be generated now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from docs import generate

from ..support.session import Session

pytestmark = pytest.mark.newest_only

GOLDEN = Path(__file__).parents[1] / "golden"


def compare(request: pytest.FixtureRequest, path: Path, text: str) -> None:
    """The file holds the text; with --regenerate it is made to."""
    if request.config.getoption("--regenerate"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"{path.name} is missing: run the tests with --regenerate"
    assert path.read_text() == text


def test_the_public_surface_is_the_golden_one(catalog: Session, request: pytest.FixtureRequest):
    """Functions, views and types that others call: a change here is a change of the contract."""
    compare(request, GOLDEN / "surface.txt", "\n".join(generate.surface(catalog.conn)) + "\n")


def test_the_reference_is_up_to_date(catalog: Session, request: pytest.FixtureRequest):
    """docs/reference/sql.md says what the comments of the objects and files say."""
    compare(request, generate.REFERENCE, generate.render(catalog.conn))


@pytest.mark.parametrize("written", generate.OTHERS, ids=lambda module: module.REFERENCE.name)
def test_the_other_references_are_up_to_date(written: Any, request: pytest.FixtureRequest):
    """Python and the command line are documented as their docstrings and help say."""
    compare(request, written.REFERENCE, written.render())
