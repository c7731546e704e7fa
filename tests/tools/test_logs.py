"""What a runner says: its form, the ids on each line, and no password anywhere."""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import structlog
from structlog.testing import capture_logs

from pgtasker.dsn import resolve_dsn, shown
from pgtasker.errors import ConfigurationError
from pgtasker.service import logs

SECRET = "s3cr/et+tail's"
QUOTED = SECRET.replace("'", "\\'")
DSNS = {
    "uri": f"postgresql://ann:{quote(SECRET, safe='')}@127.0.0.1:1/db",
    "pairs": f"host=127.0.0.1 port=1 user=ann password='{QUOTED}'",
    "broken": f"host=127.0.0.1 user=ann password = {SECRET} nix",
}
GIVEN = [
    *((place, kind) for place in ("argument", "PGTASKER_DSN") for kind in DSNS),
    ("PGPASSWORD", "none"),
]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def said(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_is_one_object_per_line_with_the_same_fields_first() -> None:
    """Time in UTC, level, event, logger, then the ids."""
    stream = io.StringIO()
    logs.configure("json", stream=stream)
    log = structlog.get_logger("pgtasker").bind(runner="r", task_id=7, step="charge")
    log.warning("step failed", error="two\nlines")
    [line] = said(stream)
    assert list(line)[:4] == ["timestamp", "level", "event", "logger"]
    assert line["timestamp"].endswith("Z")
    assert (line["level"], line["event"], line["logger"]) == ("warning", "step failed", "pgtasker")
    assert (line["runner"], line["task_id"], line["step"]) == ("r", 7, "charge")
    assert line["error"] == "two\nlines"


def test_an_exception_is_a_field() -> None:
    """Type, message and traceback can be searched for; the line stays one line."""
    stream = io.StringIO()
    logs.configure("json", stream=stream)
    try:
        raise ValueError("boom")
    except ValueError:
        structlog.get_logger("pgtasker").exception("crashed")
        logging.getLogger("theirs").exception("crashed too")
    for line in said(stream):
        assert (line["exception"]["type"], line["exception"]["message"]) == ("ValueError", "boom")
        assert "in test_an_exception_is_a_field" in line["exception"]["traceback"]


@pytest.mark.parametrize("format", ["json", "console"])
def test_libraries_speak_in_the_same_form_with_the_ids_of_the_step(format: logs.Format) -> None:
    """What a handler's library tells `logging`, and what Python warns of, bears the bound ids."""
    stream = io.StringIO()
    logs.configure(format, stream=stream)
    with structlog.contextvars.bound_contextvars(task_id=7, attempt=2):
        logging.getLogger("their.library").info("fetched %s", "it", extra={"bytes": 5})
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", stacklevel=1)
    if format == "console":
        first, *_, last = stream.getvalue().splitlines()
        assert "fetched it" in first
        assert "[their.library] attempt=2 bytes=5 task_id=7" in first
        assert "task_id=7" in last
        return
    fetched, warned = said(stream)
    assert (fetched["event"], fetched["logger"], fetched["bytes"]) == (
        "fetched it",
        "their.library",
        5,
    )
    assert [line["task_id"] for line in (fetched, warned)] == [7, 7]
    assert "UserWarning: old" in warned["event"]


def test_quiet_unless_asked() -> None:
    """Debug lines are for those who ask for them."""
    levels: list[tuple[logs.Level, int]] = [("info", 0), ("debug", 2)]
    for level, expected in levels:
        stream = io.StringIO()
        logs.configure("json", level, stream=stream)
        structlog.get_logger("pgtasker").debug("step begun")
        logging.getLogger("theirs").debug("detail")
        assert len(said(stream)) == expected


@pytest.mark.parametrize(
    ("stream", "environment", "coloured"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
    ids=["terminal", "NO_COLOR", "dumb", "pipe"],
)
def test_colours_only_on_a_terminal(
    stream: io.StringIO,
    environment: dict[str, str],
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`auto` gives lines for people everywhere; colours where somebody sees them."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    logs.configure("auto", stream=stream)
    structlog.get_logger("pgtasker").info("runner starting", database="here")
    assert ("\x1b[" in stream.getvalue()) is coloured
    assert "runner starting" in stream.getvalue()


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize(("place", "kind"), GIVEN)
def test_no_password_is_ever_printed(
    place: str, kind: str, format: logs.Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither as it is given nor as others write it: as a value, in a mapping, in a traceback."""
    dsn = DSNS.get(kind, "host=127.0.0.1 port=1 user=ann")
    monkeypatch.delenv("PGTASKER_DSN", raising=False)
    if place != "argument":
        monkeypatch.setenv(place, SECRET if place == "PGPASSWORD" else dsn)
    stream = io.StringIO()
    logs.configure(format, "debug", dsns=[dsn if place == "argument" else None], stream=stream)
    log = structlog.get_logger("pgtasker")
    log.info("connecting", dsn=dsn, options={"password": SECRET, "user": "ann"})
    logging.getLogger("theirs").debug("connecting to %s", dsn)
    log.info(f"given {{'password': {SECRET!r}}}", several=[dsn, {"inner": dsn}])
    try:
        psycopg.connect(dsn)
    except psycopg.Error:
        log.exception("no connection")
    try:
        raise RuntimeError(f"cannot use {dsn}")
    except RuntimeError:
        log.exception("crashed")
    with suppress(ConfigurationError):
        log.info("runner starting", database=shown(resolve_dsn(dsn)))
    text = stream.getvalue()
    assert "connecting" in text
    for part in (SECRET, quote(SECRET, safe=""), json.dumps(SECRET)[1:-1], "s3cr", "tail"):
        assert part not in text, text
    assert "ann" in text


def test_a_password_that_says_nothing_is_not_hidden_elsewhere() -> None:
    """`postgres:postgres@` is no secret, and hiding the word would garble every line."""
    redact = logs.redactor(["postgresql://postgres:postgres@db/app"])
    assert redact("user=postgres password=postgres") == "user=postgres password=***"


def test_a_log_that_cannot_be_written_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """The reader of the pipe is gone: the work goes on, without complaints about it."""

    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    logs.configure("console", stream=Closed())
    structlog.get_logger("pgtasker").info("runner starting")
    assert capsys.readouterr().err == ""


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is for results."""
    logs.configure("json", stream=sys.stderr)
    structlog.get_logger("pgtasker").info("runner starting")
    assert capsys.readouterr().out == ""


def test_an_application_that_configures_nothing_is_not_told_what_is_for_debugging() -> None:
    """Its runner says how it is, and not each step; whoever configures structlog decides."""
    structlog.reset_defaults()
    quiet = logs.logger("pgtasker").bind(runner="r")
    with capture_logs() as told:
        quiet.debug("step began")
        quiet.info("runner registered")
    assert [entry["event"] for entry in told] == ["runner registered"]
