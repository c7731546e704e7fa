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


DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md")
    for path in ROOT.glob(pattern)
)


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    """Every relative link names a file of the project, and a heading of it."""
    path = ROOT / document
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    wrong = []
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        target = (path.parent / file) if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(f"{file}#{anchor}")
    assert wrong == []


PAGES = [
    name for name in DOCUMENTS if re.match(r"docs/(\w|-)+\.md|docs/(howto|explanation)/", name)
]


@pytest.mark.parametrize("document", PAGES)
def test_prose_is_within_100_columns(document: str) -> None:
    """Tables and what is printed may be wider."""
    text = re.sub(
        r"^```(?:text|mermaid).*?^```$", "", (ROOT / document).read_text(), flags=re.M | re.S
    )
    wide = [line for line in text.splitlines() if len(line) > 100 and not line.startswith("|")]
    assert wide == []


def test_the_index_lists_every_page() -> None:
    """docs/README.md is the way to each guide, explanation and reference."""
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [Path(name).relative_to("docs") for name in DOCUMENTS if name.startswith("docs/")]
    listed = [page for page in pages if page.parts[0] != "decisions" and page.name != "README.md"]
    assert [str(page) for page in listed if f"]({page})" not in index] == []


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
