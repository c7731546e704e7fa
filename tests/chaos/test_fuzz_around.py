"""Whatever the command line and the files of workflows are given, they end in one clear line.

Seeded, like the fuzz of the functions. A traceback is a mistake of ours, whatever was typed.
`PGTASKER_FUZZ` is how many are tried of each.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.types.json import Jsonb

from pgtasker import WorkflowError
from pgtasker.cli import main
from pgtasker.loading import load_documents, load_workflows

from ..support.databases import Database
from .nonsense import NUMBERS, TEXTS, TIMES, Nonsense

pytestmark = pytest.mark.newest_only

CALLS = int(os.environ.get("PGTASKER_FUZZ", "10"))
TYPED = [
    *TEXTS, *map(str, NUMBERS), *TIMES, "1/a", "1/", "/a", "default/flow", "flow/", "--", "-", "-x",
    "٣", "²", "1/2/3", "\udcff", "{\"a\": 1}", "[1]", "{", "\"\\ud800\"", "01", "+1", " 1", "1_0",
]  # fmt: skip
COMMANDS = [
    ["start", "?"], ["start", "flow", "?"], ["start", "flow", "--key", "?"],
    ["start", "flow", "--run-at", "?"], ["start", "flow", "--tag", "?"],
    ["start", "flow", "--version", "?"], ["start", "flow", "--bypass", "?"],
    ["start", "flow", "--priority", "?"], ["start", "flow", "--reason", "?", "--json"],
    ["show", "?"], ["show", "?", "--json"], ["why", "?"], ["why", "?", "--json"],
    ["list", "--state", "?"], ["list", "--name", "?"], ["list", "--tag", "?"],
    ["retry", "?"], ["cancel", "?"], ["cancel", "1", "--reason", "?"], ["pause", "?"],
    ["resume", "?"], ["resolve", "?"], ["resolve", "1/a", "--results", "?"],
    ["resolve", "1", "--actor", "?"], ["skip", "?"], ["register", "?"], ["run", "?"],
    ["--schema", "?", "list"], ["--dsn", "?", "list"], ["?"], ["list", "?"],
]  # fmt: skip
YAML = """\
namespace: shop
name: fulfil_order
version: "1.0.0"
steps:
  - name: validate
    handler: uuid.uuid4
  - name: charge
    handler: uuid.uuid4
    depends_on: [validate]
    retry_limit: 5
    timeout: 30
    backoff: {base: 1, factor: 2, max: 30, jitter: true}
    inputs: {currency: EUR}
"""
MARKS = [*"{}[]:-#&*!|>'\"%@`,?\n\t ", "- ", ": ", "---\n", "<<: ", "!!python/object:os.system ",
         "&a ", "*a ", "1e400", "\x85", "\ufeff", "~", ".inf", "2020-01-01", "\x07", "é",
         "🦄"]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_whatever_is_typed_a_command_ends_in_one_clear_line(
    database: Database, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Exit status 0, 1 or 2; on refusal something on stderr, and never a traceback."""
    monkeypatch.chdir(tmp_path)
    database.main.run_with("a->b")
    chance = random.Random(" ".join(command))
    environment = {"PGTASKER_DSN": database.dsn, "PGTASKER_SCHEMA": database.schema}
    for _ in range(CALLS):
        typed = [chance.choice(TYPED) if word == "?" else word for word in command]
        if "embedded" in typed or command[-1] == "--processes":
            continue
        result = CliRunner().invoke(main, typed, env=environment)
        about = f"{typed}: {result.exit_code} {result.output[-2000:]} {result.exception!r}"
        assert result.exit_code in (0, 1, 2), about
        assert result.exception is None or isinstance(result.exception, SystemExit), about
        assert "Traceback" not in result.output, about
        if result.exit_code == 1:
            assert len(result.stderr.strip().splitlines()) == 1, about


def test_whatever_a_file_holds_it_is_loaded_or_refused(tmp_path: Path):
    """A YAML file that is right but for a few characters."""
    chance = random.Random("yaml")
    refused = 0
    for number in range(10 * CALLS):
        text = list(YAML)
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(text))
            text[place : place + chance.choice([0, 1, 1, 5])] = chance.choice(MARKS)
        file = tmp_path / f"{number % 10}.yaml"
        file.write_text("".join(text), "utf-8")
        for load in (load_workflows, load_documents):
            reason = refusal(load, file)
            refused += reason is not None
            assert reason is None or len(reason.splitlines()) == 1, reason
            assert reason is None or file.name in reason, reason
    assert 0 < refused < 20 * CALLS


def refusal(load: Callable[[str], Any], file: Path) -> str | None:
    """Why a file is not loaded."""
    try:
        load(str(file))
    except WorkflowError as error:
        return str(error)
    return None


def test_bytes_that_are_no_text_are_refused(tmp_path: Path):
    """Whatever the suffix says."""
    chance = random.Random("bytes")
    for number in range(CALLS):
        file = tmp_path / f"w{number}{chance.choice(['.json', '.yaml', '.yml'])}"
        file.write_bytes(chance.randbytes(chance.randrange(200)))
        with pytest.raises(WorkflowError):
            load_workflows(str(file))


def test_whatever_a_document_says_it_is_registered_or_refused(database: Database, tmp_path: Path):
    """By the loader that a runner uses, or by the database: both in words."""
    nonsense, db = Nonsense("documents"), database.main
    for number in range(4 * CALLS):
        file = tmp_path / f"{number}.json"
        document = nonsense.definition()
        file.write_text(json.dumps(document), "utf-8")
        assert refusal(load_workflows, file) != ""
        for workflow in load_documents(str(file)):
            try:
                db.run("select register_workflow(%s)", Jsonb(workflow))
            except psycopg.Error as error:
                if error.sqlstate not in ("22023", "54000", "22P05"):
                    raise AssertionError(f"{document}: {error}") from error


@pytest.mark.parametrize("queue", [{"name": "x"}, ["x"], 7, True])
def test_a_queue_that_is_no_text_is_refused(database: Database, tmp_path: Path, queue: Any):
    """By the database where no function here makes a runner look at it; found by the fuzz."""
    step = {"name": "a", "handler": "uuid.uuid4"}
    steps = [step, {"name": "b", "queue": queue}]
    file = tmp_path / "w.json"
    file.write_text(json.dumps({"name": "w", "steps": steps}), "utf-8")
    load_workflows(str(file))
    [document] = load_documents(str(file))
    with database.main.refused("22023", "queue"):
        database.main.run("select register_workflow(%s)", Jsonb(document))
