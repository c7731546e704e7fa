"""set_setting: tunes this install; the value is checked."""

from __future__ import annotations

import pytest

from ..support.session import Session


def test_it_holds_from_the_next_call(db: Session):
    """For every session."""
    db.call("set_setting", name="payload_limit", value="50")
    assert db.call("get_setting", name="payload_limit") == "50"
    db.define("a")
    with db.refused("54000"):
        db.start(context={"x": "y" * 50})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("payload_limit", "-1"),
        ("payload_limit", "0"),
        ("payload_limit", "1.5"),
        ("payload_limit", "1 MB"),
        ("payload_limit", ""),
        ("lease", "-1 s"),
        ("lease", "0"),
        ("lease", "soon"),
        ("lease", ""),
        ("lease", "infinity"),
        ("poll_interval", "1000 years"),
        ("recent_days", "a month"),
    ],
)
def test_a_value_that_is_none_is_refused(db: Session, name: str, value: str):
    """The error names the value and says what would be one."""
    with db.refused("22023", f"{value}.*{name}"):
        db.call("set_setting", name=name, value=value)


@pytest.mark.parametrize(("name", "value"), [("leese", "1 s"), (None, "1 s"), ("lease", None)])
def test_unknown_and_null_are_refused(db: Session, name: str | None, value: str | None):
    """Nothing is created by a typo."""
    with db.refused("22023|22004"):
        db.call("set_setting", name=name, value=value)


@pytest.mark.parametrize("name", ["install_id", "schema_version", "schema_created"])
def test_what_the_install_depends_on_is_fixed(db: Session, name: str):
    """It was written when the schema was installed."""
    with db.refused("55000", name):
        db.call("set_setting", name=name, value="7")
