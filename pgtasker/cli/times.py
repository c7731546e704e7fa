"""Times on the command line: how long ago, or when.

Responsible for reading them. What "now" is, is asked of the database.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

from pgtasker import surface
from pgtasker.client import Client

F = TypeVar("F", bound=Callable[..., Any])

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")


@dataclass(frozen=True, slots=True)
class Since:
    """The beginning of a window: at a time, or so long ago."""

    at: datetime | None = None
    ago: timedelta = timedelta()

    def before(self, client: Client) -> datetime:
        """The time itself, by the clock of the database."""
        return self.at or client.call(surface.clock()) - self.ago


def since_option(help: str) -> Callable[[F], F]:
    """`--since`: gives a `Since`, or None."""
    return click.option(
        "--since",
        metavar="TIME",
        callback=_since,
        help=f"{help}: 30m, 2h or 7d ago, or a time (ISO 8601).",
    )


def age(_: click.Context, __: click.Parameter, value: str | None) -> timedelta | None:
    """How long ago, as in 30d."""
    try:
        if value is None:
            return None
        if ago := _AGO.fullmatch(value.strip()):
            return timedelta(**{UNITS[ago[2]]: float(ago[1])})
    except OverflowError:
        pass
    raise click.BadParameter(f"{value!r} is no time like 12h, 30d or 52w")


def moment(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """A time in ISO 8601; without an offset it is local."""
    try:
        return None if value is None else datetime.fromisoformat(value).astimezone()
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{value!r} is no time like 2030-01-31T18:00+01:00") from None


def _since(_: click.Context, __: click.Parameter, value: str | None) -> Since | None:
    if value is None:
        return None
    try:
        if ago := _AGO.fullmatch(value.strip()):
            back = timedelta(**{UNITS[ago[2]]: float(ago[1])})
            return Since(ago=min(back, datetime.now() - datetime.min))
        return Since(at=datetime.fromisoformat(value).astimezone())
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is no time like 2h, 7d or 2030-01-31T18:00+01:00"
        ) from None
