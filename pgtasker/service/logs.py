"""What a runner says on standard error: lines for people, or one JSON object per line.

Responsible for the form of every line, also of those that libraries write with `logging`, and for
hiding passwords in all of them. What is said, and with which ids, is left to whoever says it: ids
that are bound as structlog's context variables are on every line.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO
from urllib.parse import quote

import structlog
from psycopg.conninfo import conninfo_to_dict

from pgtasker.redaction import Redaction

Format = Literal["auto", "console", "json"]
Level = Literal["debug", "info", "warning", "error"]
Event = MutableMapping[str, Any]

HIDDEN = "***"
FIRST = ("timestamp", "level", "event", "logger")
SHORTEST_SECRET = 6  # characters; to hide a shorter one wherever it occurs would garble the rest
LONGEST_TRACEBACK = 50_000  # characters

_WRITTEN_PASSWORDS = (
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+(?=@)", re.IGNORECASE),
    re.compile(
        r"""(\b(?:ssl)?password["']?\s*[=:]\s*)(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s,;&)}\]]+)""",
        re.IGNORECASE,
    ),
)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What `configure` was told last, to be told to a process that is started from this one."""

    format: Format
    level: Level
    dsns: tuple[str | None, ...] = field(repr=False)


_current: Configuration | None = None
_redaction = Redaction.configured()  # of what `configure` set up


def current() -> Configuration | None:
    """What was configured in this process; None if nothing was."""
    return _current


def configure(
    format: Format = "auto",
    level: Level = "info",
    *,
    dsns: Iterable[str | None] = (),
    stream: TextIO | None = None,
) -> None:
    """Send what structlog and `logging` are told to `stream` (standard error) in this form.

    `auto` is `console`: lines for people, in colours on a terminal unless NO_COLOR is set; JSON is
    given only when it is asked for. Passwords of the `dsns` and of the environment are hidden.
    """
    global _current, _redaction
    _current = Configuration(format, level, tuple(dsns))
    _redaction = Redaction.configured()
    target = sys.stderr if stream is None else stream
    common: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
    ]
    exception: structlog.typing.Processor
    if format == "json":
        exception, render = _exception_as_fields, _json_lines()
    else:
        exception = structlog.processors.format_exc_info
        render = _lines_for_people(_in_colours(target))
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_echo,
                exception,
                _Redacting(redactor(_current.dsns), _redaction),
                *render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("asyncio").setLevel(max(root.level, logging.INFO))
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log that cannot be written ends no runner
    structlog.configure(
        processors=[*common[:-1], structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def hide(names: Iterable[str]) -> None:
    """Hide the values of these names too, until the next `configure`."""
    _redaction.add(names)


def logger(name: str) -> Any:
    """The logger of this name; where nobody configured structlog, without what is for debugging."""
    if structlog.is_configured():
        return structlog.get_logger(name)
    quiet = structlog.make_filtering_bound_logger(logging.INFO)
    return structlog.wrap_logger(None, wrapper_class=quiet, logger_factory_args=(name,))


def redactor(dsns: Iterable[str | None] = ()) -> Callable[[str], str]:
    """A function that hides passwords in a text.

    Hidden are those of the DSNs and of the environment wherever they occur, and whatever a DSN or
    a mapping in the text shows as a password.
    """
    secrets = sorted(set(_secrets(dsns)), key=len, reverse=True)

    def redact(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, HIDDEN)
        for pattern in _WRITTEN_PASSWORDS:
            text = pattern.sub(rf"\g<1>{HIDDEN}", text)
        return text

    return redact


def _secrets(dsns: Iterable[str | None]) -> Iterable[str]:
    """The passwords as they may be written: as they are, in a URI, in JSON."""
    for dsn in (*dsns, os.environ.get("PGTASKER_DSN"), ""):
        try:
            given = conninfo_to_dict(dsn or "")
        except Exception:  # noqa: BLE001 - whoever uses the DSN says what is wrong with it
            continue
        password = str(given.get("password") or os.environ.get("PGPASSWORD") or "")
        shown = {str(given.get(key)) for key in ("user", "dbname", "host")}
        if len(password) >= SHORTEST_SECRET and password not in shown:
            yield from (password, quote(password, safe=""), json.dumps(password)[1:-1])


class _Redacting:
    """Hides passwords, and what is not to be read, in every value of an event."""

    def __init__(self, redact: Callable[[str], str], redaction: Redaction) -> None:
        self._redact = redact
        self._redaction = redaction

    def __call__(self, _: Any, __: str, event: Event) -> Event:
        for name, value in event.items():
            event[name] = self._hide(name, value)
        return event

    def _hide(self, name: object, value: Any) -> Any:
        if value is not None and self._redaction.hides(name):
            return HIDDEN
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(name, str) and "password" in name.lower():
            return HIDDEN
        if isinstance(value, Mapping):
            return {key: self._hide(key, inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._hide(None, inner) for inner in value]
        return self._redact(value if isinstance(value, str) else str(value))


def _in_colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _lines_for_people(colours: bool) -> list[structlog.typing.Processor]:
    return [
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
        _without_our_name,
        structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=24),
    ]


def _json_lines() -> list[structlog.typing.Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _in_order,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]


def _without_echo(_: Any, __: str, event: Event) -> Event:
    """A record that came from another process says its event twice."""
    if event.get("message") == event.get("event"):
        del event["message"]
    return event


def _without_our_name(_: Any, __: str, event: Event) -> Event:
    """A person knows who speaks, unless it is a library."""
    if str(event.get("logger", "")).partition(".")[0] == "pgtasker":
        del event["logger"]
    return event


def _exception_as_fields(_: Any, __: str, event: Event) -> Event:
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["exception"] = {
            "type": type(error).__name__,
            "message": str(error),
            "traceback": "".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:],
        }
    return event


def _in_order(_: Any, __: str, event: Event) -> Event:
    return {**{name: event.pop(name) for name in FIRST if name in event}, **event}
