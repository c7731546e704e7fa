"""clock: the engine's only now."""

from __future__ import annotations

import psycopg

from pgtasker import installer

from ..support.databases import Database
from ..support.session import Session


def test_a_test_can_move_it(db: Session):
    """By a session setting; without it, it is real time."""
    db.set_clock("2031-02-03 04:05:06+00")
    assert db.call("clock").isoformat() == "2031-02-03T04:05:06+00:00"
    db.set_clock(None)
    apart = "select extract(epoch from clock_timestamp() - clock())"
    assert abs(db.one(apart)) < 5


def test_a_production_install_cannot_be_moved(empty_dsn: str):
    """Or any client could expire every lease."""
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        installer.install(conn, "pgtasker")
        conn.execute("set pgtasker.clock = '2031-02-03 04:05:06+00'")
        row = conn.execute("select abs(extract(epoch from clock_timestamp() - pgtasker.clock()))")
        assert row.fetchone()[0] < 5


def test_it_goes_on_within_a_transaction(database: Database):
    """now() would stand still in one that stays open for an hour."""
    db = database.main
    db.set_clock(None)
    db.begin()
    first = db.call("clock")
    assert db.call("clock") > first
    assert db.one("select clock() > now()")
    db.commit()
