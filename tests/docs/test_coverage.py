"""docs/tasker-coverage.md names only what there is."""

from __future__ import annotations

import importlib
import re
from functools import reduce

import click
import pytest

from pgtasker.cli import main

from .pages import ROOT

PAGE = ROOT / "docs" / "tasker-coverage.md"
ROWS = [
    tuple(cell.strip() for cell in row)
    for row in re.findall(r"^\| (.+?) \| (.+?) \|(.*)\|$", PAGE.read_text(), re.MULTILINE)
    if row[0] != "feature"
]


def sql_names() -> set[str]:
    """Tables, views, their columns, functions and their arguments, as the reference lists them."""
    reference = (ROOT / "docs" / "reference" / "sql.md").read_text()
    words = set(re.findall(r"^\| `(\w+)` \|", reference, re.MULTILINE))
    for title, body in re.findall(
        r"^### (\w+)(.*?)(?=^##|\Z)", reference, re.MULTILINE | re.DOTALL
    ):
        words.add(title)
        words |= {f"{title}.{column}" for column in re.findall(r"^    (\w+) ", body, re.MULTILINE)}
    return words


KNOWN = sql_names()
SCHEMA = "\n".join(file.read_text() for file in (ROOT / "pgtasker" / "schema").glob("*.sql"))


def exists(name: str) -> bool:
    """Whether there is such a command, Python object, file, or thing in the database."""
    if name.startswith("pgtasker "):
        _, verb, *options = name.split()
        command = main.get_command(click.Context(main), verb)
        known = [text for parameter in command.params for text in parameter.opts] if command else []
        return command is not None and set(options) <= set(known)
    if name.startswith("pgtasker."):
        return is_python(name)
    if "/" in name:
        return (ROOT / name).exists()
    table, _, column = name.partition(".")
    body = re.search(rf"^create table {table} \((.*?)^\)", SCHEMA, re.MULTILINE | re.DOTALL)
    return name in KNOWN or bool(body and column and f"\n    {column} " in body[1])


def is_python(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        try:
            reduce(getattr, parts[length:], module)
        except AttributeError:
            return False
        return True
    return False


def objects(cell: str) -> list[str]:
    """What a cell says is there; of "`x` of `y`" that is y."""
    there = re.sub(r"planned: [^;]*", "", cell)
    return re.findall(r"`([^`]+)`", re.sub(r"(`\w+`(, | and )?)+ of ", "", there))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_every_feature_is_here_or_planned(row: tuple[str, str, str]):
    """What is named exists; a feature has a test, or says that it is planned."""
    feature, here, test = row
    assert [name for name in objects(here) if not exists(name)] == []
    assert "planned:" in here or "::" in test, f"{feature} has no test"
    file = ""
    for path, name in re.findall(r"`(tests/[\w/]+\.py)?::(test_\w+)`", test):
        file = path or file
        pattern = rf"^(async )?def {name}\("
        assert re.search(pattern, (ROOT / file).read_text(), re.MULTILINE), f"{file}::{name}"
