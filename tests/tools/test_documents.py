"""The documents say what is so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("example", ["examples/quickstart.py", "examples/sql_only.sql"])
def test_the_readme_shows_the_examples_that_the_tests_run(example: str) -> None:
    """A block that is introduced by a file's name is that file."""
    block = re.search(rf"<!-- {re.escape(example)} -->\n```\w+\n(.*?)```\n", README, re.DOTALL)
    assert block is not None
    assert block.group(1) == (ROOT / example).read_text()


@pytest.mark.parametrize(
    "document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
)
def test_links_lead_somewhere(document: str) -> None:
    """Every relative link names a file of the project."""
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_make_without_a_target_prints_help() -> None:
    """The list of targets is the first thing a newcomer sees."""
    printed = subprocess.run(
        ["make", "-C", ROOT], capture_output=True, text=True, check=True
    ).stdout
    for target in ("demo", "test", "lint", "types", "docs", "bench", "clean"):
        assert f"make {target} " in printed


def test_each_guarantee_names_its_test() -> None:
    """ARCHITECTURE.md promises nothing that no test asks for."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    table = text[text.index("## Guarantees") :]
    file = ""
    named = []
    for path, test in re.findall(r"`(tests/[\w/]+\.py)?::(test_\w+)`", table):
        file = path or file
        named.append((file, test))
    assert len(named) >= 20
    missing = [
        f"{path}::{test}"
        for path, test in named
        if not re.search(rf"^(async )?def {test}\(", (ROOT / path).read_text(), re.MULTILINE)
    ]
    assert missing == []
