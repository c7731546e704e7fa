"""register_runner: a process makes itself known, and holds a session lock while it lives."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.session import Session


def test_a_name_is_enough(db: Session):
    """The default queue, no metadata, live, holding nothing."""
    runner = db.call("register_runner", name="worker-1")
    [row] = db.call("list_runners")
    assert (row.runner_id, row.name, row.queues, row.metadata) == (
        runner,
        "worker-1",
        ["default"],
        {},
    )
    assert (row.state, row.held_steps, row.ended_at) == ("live", 0, None)
    assert row.started_at == row.last_heartbeat_at == db.call("clock")
    assert (row.lease_expires_at - row.started_at).total_seconds() == 15


def test_what_is_given_is_listed(db: Session):
    """A queue that is named twice counts once."""
    db.call("register_runner", name="w", queues=["b", "a", "b"], metadata={"host": "h", "pid": 7})
    [row] = db.call("list_runners")
    assert sorted(row.queues) == ["a", "b"]
    assert row.metadata == {"host": "h", "pid": 7}


def test_each_registration_is_a_runner_of_its_own(db: Session):
    """The same name twice is two runners: a name is for people."""
    assert db.register(name="w") != db.register(name="w")


def test_the_lease_is_the_setting(db: Session):
    """It can be tuned for all runners."""
    db.call("set_setting", name="lease", value="1 minute")
    db.register()
    [row] = db.call("list_runners")
    assert (row.lease_expires_at - row.started_at).total_seconds() == 60


def test_a_session_lock_tells_that_the_process_lives(db: Session):
    """It is held by the connection that registered, beyond the transaction."""
    locks = "select count(*) from pg_locks where locktype = 'advisory' and pid = %s"
    before = db.one(locks, db.pid)
    db.register()
    assert db.one(locks, db.pid) == before + 1


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"queues": None}, "queues"),
        ({"queues": []}, "queues"),
        ({"queues": ["a", None]}, "queues"),
        ({"queues": [""]}, "queues"),
        ({"metadata": None}, "metadata"),
    ],
)
def test_bad_input_is_refused(db: Session, arguments: dict[str, Any], match: str):
    """And no session lock stays behind."""
    with db.refused("22004|22023", match):
        db.call("register_runner", **({"name": "w"} | arguments))


@pytest.mark.parametrize("metadata", [[], "text", 7])
def test_metadata_is_an_object(db: Session, metadata: Any):
    """As a context is."""
    with db.refused("22023", "metadata"):
        db.call("register_runner", name="w", metadata=db.json(metadata))


def test_metadata_above_the_payload_limit_is_refused(db: Session):
    """As every payload is."""
    db.call("set_setting", name="payload_limit", value="100")
    with db.refused("54000", "metadata"):
        db.call("register_runner", name="w", metadata={"x": "y" * 100})
