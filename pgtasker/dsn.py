"""Where the database is: which DSN and which schema count, and how to show them.

Responsible for the order in which they are looked up, for what a connection of ours adds to a DSN,
and for never showing a password. Opening connections is left to those who use them.
"""

from __future__ import annotations

import os
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgtasker.errors import ConfigurationError

DEFAULT_SCHEMA = "pgtasker"
LONGEST_NAME = 63  # bytes: PostgreSQL would cut a longer one silently

# A peer that vanished without a word is noticed within about half a minute.
_DEFAULTS: dict[str, str] = {
    "fallback_application_name": "pgtasker",
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
_SHOWN = ("service", "host", "hostaddr", "port", "dbname", "user")


def resolve_dsn(dsn: str | None = None) -> str:
    """The DSN to use: the one given, else PGTASKER_DSN, else "" for libpq's own environment.

    The word `embedded` starts the private server (or finds it running) and gives its DSN.
    """
    chosen = os.environ.get("PGTASKER_DSN", "") if dsn is None else dsn
    if chosen.strip() == "embedded":
        from pgtasker import embedded  # imported only when asked for

        chosen = embedded.start()
    _parse(chosen)
    return chosen


def replica_from_environment() -> str | None:
    """The DSN that PGTASKER_REPLICA_DSN gives, if it gives one: where to read."""
    return os.environ.get("PGTASKER_REPLICA_DSN") or None


def resolve_schema(schema: str | None = None) -> str:
    """The schema of the install: the one given, else PGTASKER_SCHEMA, else `pgtasker`."""
    chosen = schema if schema is not None else os.environ.get("PGTASKER_SCHEMA") or DEFAULT_SCHEMA
    if not chosen or "\0" in chosen or len(chosen.encode()) > LONGEST_NAME:
        raise ConfigurationError(
            f"schema name {chosen!r} cannot be used: give one of 1 to {LONGEST_NAME} bytes"
        )
    return chosen


def connection_string(dsn: str) -> str:
    """The DSN with our defaults for what it, and libpq's environment, leave open."""
    given = _parse(dsn)
    defaults = dict(_DEFAULTS)
    if "PGCONNECT_TIMEOUT" in os.environ:
        del defaults["connect_timeout"]
    return make_conninfo("", **{**defaults, **given})


def shown(dsn: str) -> str:
    """The DSN as a person may see it: where and who, never a password."""
    given = _parse(dsn)
    parts = [f"{key}={given[key]}" for key in _SHOWN if given.get(key)]
    return " ".join(parts) or "libpq environment"


def _parse(dsn: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(dsn)
    except psycopg.Error:
        # libpq's message may quote a piece of the password.
        raise ConfigurationError(
            "the DSN cannot be parsed: give postgresql://USER@HOST:PORT/DATABASE, "
            "key=value pairs, or the word embedded"
        ) from None
