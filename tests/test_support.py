"""The vocabulary of the tests does what it says, so that the tests mean what they say."""

from __future__ import annotations

import psycopg
import pytest

from .support.databases import Database
from .support.graph import workflow
from .support.session import Session


def test_an_edge_string_is_a_definition():
    """Steps in the order of their first mention, chains and lone steps."""
    steps = workflow("a->b->d a->c c->d e", steps={"e": {"priority": 3}})["steps"]
    assert steps == [
        {"name": "a"},
        {"name": "b", "depends_on": ["a"]},
        {"name": "d", "depends_on": ["b", "c"]},
        {"name": "c", "depends_on": ["a"]},
        {"name": "e", "priority": 3},
    ]


@pytest.mark.parametrize("round_number", [1, 2])
def test_each_test_finds_the_database_as_installed(db: Session, round_number: int):
    """What an earlier test wrote is gone, ids and settings included."""
    assert db.one("select value from settings where name = 'lease'") == "15 s"
    assert db.rows("table named_tasks") == []
    db.call("set_setting", name="lease", value="1 s")
    assert db.call("register_workflow", definition=workflow("a->b")) == 1


def test_every_session_lives_at_the_same_time(database: Database):
    """Moving the clock moves it for those that are open and those that come."""
    early = database.connect()
    moment = database.main.call("clock")
    early.move_clock(2.5)
    late = database.connect()
    for session in (database.main, early, late):
        assert (session.call("clock") - moment).total_seconds() == 2.5


def test_a_refusal_needs_the_right_state_and_words(db: Session):
    """The helper fails when there is no refusal, another one, or one without its words."""
    with db.refused("22004", "definition must not be null"):
        db.call("register_workflow", definition=None)
    for statement in ("select 1", "select register_workflow(null)", "select 1 / 0"):
        with pytest.raises(AssertionError), db.refused("22012", "division"):
            db.run(statement)


def test_a_change_shows_in_the_fingerprint(db: Session):
    """Rows and session locks both do."""
    seen = [db.fingerprint()]
    db.define("a->b")
    seen.append(db.fingerprint())
    db.run("select pg_advisory_lock(1, 2)")
    seen.append(db.fingerprint())
    assert seen[0] != seen[1] != seen[2]
    assert seen[2] == db.fingerprint()


def test_a_race_waits_for_the_block_and_not_for_time(database: Database):
    """`blocked_by` returns once the other waits, and fails if it got through."""
    first, second = database.connect("first"), database.connect("second")
    first.begin()
    first.run("select pg_advisory_xact_lock(7)")
    waiting = second.later(second.one, "select pg_advisory_xact_lock(7)").blocked_by(first)
    first.commit()
    waiting.result()
    with pytest.raises(AssertionError, match="was not blocked"):
        second.later(second.one, "select 1").blocked_by(first)


def test_an_error_in_the_background_is_raised_by_its_result(database: Database):
    """Nothing that a session did is lost."""
    session = database.connect()
    with pytest.raises(psycopg.errors.DivisionByZero):
        session.later(session.one, "select 1 / 0").result()
