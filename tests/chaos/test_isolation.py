"""Two sessions meet on one task in another isolation level than the one the engine is made for.

The level may be the default of a role or a database, so that nobody asked for it. Whoever comes
second may be told to try again; nothing may be missed because its snapshot is old.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from ..support.databases import Database
from ..support.invariants import assert_kept
from ..support.session import Session

TRY_AGAIN = "40001"
LEVELS = ["repeatable read", "serializable"]


def running(db: Session, edges: str) -> tuple[int, dict[str, Any]]:
    """A task whose ready steps are claimed."""
    task = db.run_with(edges)
    return task, {step.step_name: step for step in db.claim(10)}


def attempt(act: Callable[[], Any]) -> bool:
    """Whether it was done; the only reason not to is that it should be tried again."""
    try:
        act()
    except psycopg.Error as error:
        if error.sqlstate != TRY_AGAIN:
            raise
        return False
    return True


MEETINGS: dict[str, tuple[str, Callable[[Session, Any], Any], Callable[[Session, Any], Any]]] = {
    "last finishers": (
        "x y",
        lambda session, claims: session.complete(claims["x"]),
        lambda session, claims: session.complete(claims["y"]),
    ),
    "two parents": (
        "x->join y->join",
        lambda session, claims: session.complete(claims["x"]),
        lambda session, claims: session.complete(claims["y"]),
    ),
    "a failure and the last success": (
        "x y",
        lambda session, claims: session.fail(claims["x"], retryable=False),
        lambda session, claims: session.complete(claims["y"]),
    ),
    "a success and the last failure": (
        "x->z y",
        lambda session, claims: session.complete(claims["y"]),
        lambda session, claims: session.fail(claims["x"], retryable=False),
    ),
    "a completion and a cancel": (
        "x->z y",
        lambda session, claims: session.complete(claims["x"]),
        lambda session, claims: session.call("cancel_task", task_id=claims["x"].task_id),
    ),
    "a pause and a completion": (
        "x->z y",
        lambda session, claims: session.call("pause_task", task_id=claims["x"].task_id),
        lambda session, claims: session.complete(claims["x"]),
    ),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("meeting", MEETINGS)
def test_nothing_is_missed(own_database: Database, meeting: str, level: str):
    """The second waits for the first; it is done, or told to try again and then done."""
    edges, first, second = MEETINGS[meeting]
    database = own_database
    db, one, two = database.main, database.connect("one"), database.connect("two")
    task, claims = running(db, edges)
    for session in (one, two):
        session.run(f"set default_transaction_isolation = '{level}'")
    one.begin()
    first(one, claims)
    waiting = two.later(attempt, lambda: second(two, claims)).finished_or_blocked()
    ended = attempt(one.commit)
    if not waiting.result():
        assert attempt(lambda: second(two, claims))
    if not ended:
        assert attempt(lambda: first(one, claims))
    db.assert_consistent()
    if db.state_of(task) not in ("cancelled", "error", "complete"):
        if db.task(task).paused:
            db.call("resume_task", task_id=task)
        for claimed in claims.values():
            if db.step(task, claimed.step_name).state == "in_progress":
                db.complete(claimed)
        db.settle(task)
    assert_kept(db.conn, database.schema, settled=True, started=[task])


@pytest.mark.parametrize("level", LEVELS)
def test_a_claim_that_meets_another_gives_up_at_most_once(database: Database, level: str):
    """And no step is claimed twice."""
    db, one, two = database.main, database.connect("one"), database.connect("two")
    db.define("a->b")
    db.call("create_tasks", name="flow", contexts=[{}] * 10)
    runners = [session.runner for session in (one, two)]
    for session in (one, two):
        session.run(f"set default_transaction_isolation = '{level}'")
    one.begin()
    first = one.claim(5, runners[0])
    found: list[Any] = []
    waiting = two.later(attempt, lambda: found.extend(two.claim(10, runners[1])))
    waiting.finished_or_blocked()
    attempt(one.commit)
    if not waiting.result():
        assert attempt(lambda: found.extend(two.claim(10, runners[1])))
    taken = [step.workflow_step_id for step in [*first, *found]]
    assert len(set(taken)) == len(taken) > 5
    assert_kept(db.conn, database.schema)
