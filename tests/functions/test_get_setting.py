"""get_setting: what is in force now."""

from __future__ import annotations

import pytest

from ..support.session import Session


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("payload_limit", "1048576"),
        ("lease", "15 s"),
        ("poll_interval", "5 s"),
        ("recent_days", "30"),
        ("schema_version", "0.1.0"),
    ],
)
def test_the_defaults(db: Session, name: str, value: str):
    """As documented."""
    assert db.call("get_setting", name=name) == value


@pytest.mark.parametrize("name", ["leese", "", None])
def test_an_unknown_setting_is_refused(db: Session, name: str | None):
    """The detail lists those that there are."""
    with db.refused("22023|22004", "lease.*payload_limit"):
        db.call("get_setting", name=name)
