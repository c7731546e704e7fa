"""Redaction: values of configured names are not shown to people, nor written into logs."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
import structlog
from click.testing import CliRunner

from pgtasker import Client, Runner, Step, Workflow
from pgtasker.cli import main
from pgtasker.redaction import Redaction
from pgtasker.runner import UntilEmpty
from pgtasker.service import logs

from ..python import process_steps
from ..support.databases import Database
from ..support.graph import workflow

pytestmark = pytest.mark.newest_only  # what differs between servers is the business of others

CARD = "4111-1111-1111-1111"


def pgtasker(database: Database, *arguments: str) -> str:
    """What the command prints, on both streams."""
    where = ["--dsn", database.dsn, "--schema", database.schema]
    return CliRunner().invoke(main, [*where, *arguments]).output


@pytest.fixture
def failed(database: Database) -> int:
    """A task whose context and results hold a card, and whose error tells it."""
    db = database.main
    db.call("set_setting", name="redact_keys", value="card-number, Secret,,")
    db.call("register_workflow", definition=workflow("a b"))
    task = db.start(context={"order": 7, "customer": [{"cardNumber": CARD, "name": "Ann"}]})
    claimed = {step.step_name: step for step in db.claim(2)}
    db.complete(claimed["a"], {"SECRET": {"pin": [123456]}, "paid": True})
    error = {"message": f"{CARD} is refused", "traceback": f"ValueError: {CARD}, {CARD}"}
    db.fail(claimed["b"], error, retryable=False)
    return task


@pytest.mark.parametrize(
    "command",
    [
        ["show", "{}"],
        ["show", "{}", "--json"],
        ["show", "{}/a"],
        ["show", "{}/a", "--json"],
        ["show", "{}/b"],
        ["show", "{}/b", "--json", "--all"],
        ["why", "{}/b"],
        ["why", "{}/b", "--json"],
        ["why", "{}/"],
        ["why", "{}/", "--json"],
    ],
    ids=" ".join,
)
def test_people_do_not_see_it(database: Database, failed: int, command: list[str]) -> None:
    """Not the value, nor its text in an error, in whatever form."""
    said = pgtasker(database, *(part.format(failed) for part in command))
    assert CARD not in said
    assert "123456" not in said
    assert "***" in said or command == ["show", "{}/a"] or "refused" not in said


def test_the_rest_is_shown(database: Database, failed: int) -> None:
    """Names beside it, and what is not of that name."""
    shown = json.loads(pgtasker(database, "show", str(failed), "--json"))
    assert shown["task"]["context"] == {
        "order": 7,
        "customer": [{"cardNumber": "***", "name": "Ann"}],
    }
    assert shown["task"]["results"] == {"a": {"SECRET": "***", "paid": True}}
    assert shown["task"]["error"]["b"]["message"] == "*** is refused"
    assert '"SECRET": "***"' in pgtasker(database, "show", f"{failed}/a")
    assert "*** is refused" in pgtasker(database, "why", f"{failed}/b")


def test_the_data_stays_what_it_is(database: Database, failed: int) -> None:
    """Hiding is for people who look in passing: programs read what they may read."""
    context = database.main.task(failed).context
    assert context["customer"][0]["cardNumber"] == CARD


def test_nothing_is_hidden_unless_it_is_named(
    database: Database, failed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment of a person adds names to those of the install."""
    database.main.call("set_setting", name="redact_keys", value="")
    assert CARD in pgtasker(database, "show", str(failed))
    monkeypatch.setenv("PGTASKER_REDACT_KEYS", "CARD_NUMBER")
    assert CARD not in pgtasker(database, "show", str(failed))


def test_a_task_that_is_started_and_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its context is not printed back."""
    database.main.call("set_setting", name="redact_keys", value="token")
    database.main.call(
        "register_workflow",
        definition=workflow("a", context_schema={"properties": {"n": {"type": "integer"}}}),
    )
    context = json.dumps({"n": "no number", "token": "t0k3n-t0k3n"})
    said = pgtasker(database, "start", "flow", context, "--wait", "--json")
    assert "t0k3n" not in said
    assert '"token": "***"' in said


@pytest.mark.parametrize("value", ["x" * 2001, "a\nb"])
def test_a_setting_that_is_none_is_refused(database: Database, value: str) -> None:
    """Names on one line."""
    with database.main.refused("22023", "takes names"):
        database.main.call("set_setting", name="redact_keys", value=value)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"key": 1}, {"key": "***"}),
        ({"KEY": None, "k-e_y": ""}, {"KEY": None, "k-e_y": "***"}),
        ({"keys": 1, "monkey": 2}, {"keys": 1, "monkey": 2}),
        ([{"a": [{"key": [1]}]}], [{"a": [{"key": "***"}]}]),
        ("key", "key"),
        (None, None),
        ({"key": "secret-word", "said": "a secret-word"}, {"key": "***", "said": "a ***"}),
        ({"key": {"deep": ["secret-word"]}, "s": ["secret-words"]}, {"key": "***", "s": ["***s"]}),
        ({"key": "short", "said": "in short"}, {"key": "***", "said": "in short"}),
        ({"key": True, "said": "True"}, {"key": "***", "said": "True"}),
    ],
)
def test_names_are_found_at_any_depth(given: Any, shown: Any) -> None:
    """And what they hold in other texts, unless it is too short for that."""
    assert Redaction(["key"]).learn(given)(given) == shown


def test_without_names_nothing_is_copied() -> None:
    """What was given comes back."""
    given = {"key": ["value"]}
    assert Redaction([" ", ""]).learn(given)(given) is given


@pytest.mark.parametrize("format", ["json", "console"])
def test_logs_do_not_tell_it(format: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields of these names, at any depth, of every library."""
    monkeypatch.setenv("PGTASKER_REDACT_KEYS", "card_number,pin")
    stream = io.StringIO()
    logs.configure(format, stream=stream)
    structlog.get_logger("shop").info("charging", cardNumber=CARD, order={"pin": 123456, "n": 7})
    logging.getLogger("library").warning("charged", extra={"PIN": 123456})
    said = stream.getvalue()
    assert CARD not in said
    assert "123456" not in said
    assert said.count("***") == 3
    assert "charging" in said
    assert "7" in said


def test_logs_of_a_runner_do_not_tell_what_the_setting_names(database: Database) -> None:
    """It reads the setting before it executes anything; worker processes log through it."""
    database.set_clock(None)
    database.main.call("set_setting", name="redact_keys", value="card-number")
    flow = Workflow("paying")

    @flow.step
    def pay(step: Step) -> None:
        step.logger.info("charging", card_number=CARD, customer=[{"cardNumber": CARD}], order=7)

    flow.step(executor="process")(process_steps.log_a_card)
    stream = io.StringIO()
    with Client(database.dsn, schema=database.schema) as client:
        client.register(flow)
        client.start(flow, {"card": CARD})
        logs.configure("json", stream=stream)
        Runner(
            database.dsn, [flow], schema=database.schema, coordination=UntilEmpty()
        ).run_forever()
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    [thread] = [line for line in said if line["event"] == "charging"]
    [worker] = [line for line in said if line["event"] == "charging elsewhere"]
    assert thread["customer"] == [{"cardNumber": "***"}]
    assert (thread["card_number"], worker["card_number"], thread["order"]) == ("***", "***", 7)
    assert CARD not in stream.getvalue()
