"""Finding the database: the order of look-up, and that a password is never shown."""

from __future__ import annotations

import pytest

from pgtasker import ConfigurationError
from pgtasker.dsn import connection_string, resolve_dsn, resolve_schema, shown


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests say themselves what the environment holds."""
    for name in ("PGTASKER_DSN", "PGTASKER_SCHEMA", "PGCONNECT_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_given_counts_before_the_environment(monkeypatch: pytest.MonkeyPatch):
    """Given DSN, then PGTASKER_DSN, then libpq's own environment, which is the empty DSN."""
    assert resolve_dsn() == ""
    monkeypatch.setenv("PGTASKER_DSN", "dbname=there")
    assert resolve_dsn() == "dbname=there"
    assert resolve_dsn("dbname=here") == "dbname=here"


def test_the_schema_is_found_the_same_way(monkeypatch: pytest.MonkeyPatch):
    """Given schema, then PGTASKER_SCHEMA, then `pgtasker`."""
    assert resolve_schema() == "pgtasker"
    monkeypatch.setenv("PGTASKER_SCHEMA", "flows")
    assert resolve_schema() == "flows"
    assert resolve_schema("My Flows") == "My Flows"


@pytest.mark.parametrize("name", ["", "x" * 64, "é" * 32, "a\0b"])
def test_a_schema_name_that_postgresql_would_change_is_refused(name: str):
    """Empty, too long for PostgreSQL, or with NUL."""
    with pytest.raises(ConfigurationError, match="schema name"):
        resolve_schema(name)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://ann:hunter2@db.example/shop",
        "host=db.example user=ann dbname=shop password=hunter2 sslpassword=hunter2",
        "postgresql://db.example/shop?user=ann&password=hunter2",
    ],
)
def test_a_password_is_never_shown(dsn: str):
    """Where and who is shown, whichever way the DSN is written."""
    assert shown(dsn) == "host=db.example dbname=shop user=ann"


@pytest.mark.parametrize("dsn", ["postgresql://ann:hun?ter2@[db", "password=hunter2 hunter2"])
def test_a_malformed_dsn_is_refused_without_being_repeated(dsn: str):
    """The error says what to write; neither it nor its cause quotes the DSN."""
    with pytest.raises(ConfigurationError, match="the DSN cannot be parsed") as caught:
        resolve_dsn(dsn)
    assert "ter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_defaults_yield_to_what_is_given(monkeypatch: pytest.MonkeyPatch):
    """A vanished peer is noticed soon by default; the DSN and libpq's environment come first."""
    assert "keepalives_idle=10" in connection_string("dbname=shop")
    assert "keepalives_idle=99" in connection_string("dbname=shop keepalives_idle=99")
    assert "connect_timeout=10" in connection_string("")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "3")
    assert "connect_timeout" not in connection_string("")
