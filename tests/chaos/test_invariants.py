"""The checker finds what it is there to find: each promise is broken once, behind the triggers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from ..functions.states import STEP_STATES, TASK_STATES, step_in, task_in
from ..support.databases import Database
from ..support.invariants import assert_kept, violations
from ..support.promises import PROMISES
from ..support.session import Session

pytestmark = pytest.mark.newest_only  # the log is the same everywhere


@pytest.mark.parametrize("state", TASK_STATES)
def test_every_state_of_a_task_keeps_every_promise(db: Session, state: str):
    """No false alarm."""
    task_in(db, state)
    assert_kept(db.conn, db.database.schema)


@pytest.mark.parametrize("state", STEP_STATES)
def test_every_state_of_a_step_keeps_every_promise(db: Session, state: str):
    """Nor here."""
    step_in(db, state)
    assert_kept(db.conn, db.database.schema)


@pytest.fixture
def broken(own_database: Database) -> Session:
    """A session to which no trigger applies, in a database with a bit of everything."""
    db = own_database.main
    if not db.one("select rolsuper from pg_roles where rolname = current_user"):
        pytest.skip("only a superuser can get behind the triggers")
    db.settle(db.run_with("a->b->c"), flaky=["b"])
    db.settle(db.start())
    retried = db.start()
    db.settle(retried, broken=["c"])
    db.call("retry_task", task_id=retried)
    db.finish_step("c")
    db.start()
    db.release(db.claim_only("a"))
    assert db.claim(1)
    db.start()
    db.wait(20)  # its runner lives: the lease is renewed
    assert_kept(db.conn, db.database.schema, started=[retried])
    db.run("set session_replication_role = replica")
    return db


COMPLETE = (
    "(select workflow_step_id from workflow_step_transitions where to_state = 'complete' limit 1)"
)
LAST = "where most_recent and to_state = 'complete'"
COPY = """
    insert into workflow_step_transitions (
        workflow_step_id, created_at, runner_id, claim_id, sort_key, attempts, from_state,
        to_state, most_recent
    )
    select
        workflow_step_id, created_at, runner_id, claim_id, sort_key + 1, attempts, {}
    from workflow_step_transitions
    where to_state = 'complete'
    limit 1
"""

BREAKAGES = {
    "no task is lost": "delete from tasks where task_id = (select min(task_id) from tasks)",
    "a step ends once": COPY.format("'complete', 'cancelled', false"),
    "only its claim ends an attempt": (
        f"update workflow_step_transitions set runner_id = runner_id + 1 {LAST}"
    ),
    "no step starts before its parents are satisfied": (
        "update workflow_step_transitions log set to_state = 'cancelled'"
        " from step_dag_relationships step"
        " where log.workflow_step_id = step.workflow_step_id and step.name = 'a'"
        " and log.to_state = 'complete'"
    ),
    "attempts are limited per round, and counted": (
        "update workflow_step_transitions set attempts = attempts + 3 where to_state = 'error'"
    ),
    "claim ids of a step grow": (
        "update workflow_step_transitions set claim_id = 1 where to_state = 'in_progress'"
    ),
    "exactly the last row is most recent": "update task_transitions set most_recent = true",
    "steps are as a recount says": "update workflow_steps set attempts = 0 where attempts > 0",
    "tasks are as a recount says": "update tasks set state = 'error' where state = 'complete'",
    "the queue holds what can run, and nothing else": (
        "insert into step_queue (workflow_step_id, enqueued_at, priority, queue)"
        f" values ({COMPLETE}, clock(), 0, 'default')"
    ),
    "runners hold what the log says": "delete from claim_batches",
    "no step fails without a cause": (
        "update workflow_step_transitions set error = null where to_state = 'error'"
    ),
    "the engine finds nothing wrong with itself": "delete from step_queue",
}


@pytest.mark.breaks_promises("behind the back of the triggers")
@pytest.mark.parametrize("promise", BREAKAGES)
def test_a_promise_that_is_broken_is_found(broken: Session, promise: str):
    """By the question that stands for it, with words."""
    tasks = broken.column("select task_id from tasks")
    broken.run(BREAKAGES[promise])
    found = violations(broken.conn, broken.database.schema, started=tasks)
    about = [each for each in found if each.promise == promise]
    assert about, found
    assert all(each.details for each in about)


def test_every_promise_is_broken_once():
    """But for the deadlock, which has a test of its own."""
    assert BREAKAGES.keys() == PROMISES.keys() - {"nothing deadlocks"}


def test_what_is_left_unfinished_is_found_when_it_should_be_settled(broken: Session):
    """And only then."""
    schema = broken.database.schema
    assert violations(broken.conn, schema) == []
    assert {each.promise for each in violations(broken.conn, schema, settled=True)} == {
        "no task is lost"
    }


@pytest.mark.breaks_promises("behind the back of the triggers")
def test_a_child_that_ran_before_its_parent_is_found_by_the_claims(broken: Session):
    """Whatever the clock says."""
    broken.run(
        "update workflow_step_transitions log set claim_id = -log.claim_id"
        " from step_dag_relationships step"
        " where log.workflow_step_id = step.workflow_step_id and step.name = 'b'"
    )
    found = violations(broken.conn, broken.database.schema)
    assert "no step starts before its parents are satisfied" in {each.promise for each in found}


def test_the_loss_of_a_runner_that_lived_is_found(own_database: Database):
    """The names of those that died are given by whoever killed them."""
    db = own_database.main
    db.run_with("a")
    db.claim_only("a", db.register(name="victim"))
    db.move_clock(16)
    db.call("maintain")
    schema = own_database.schema
    [found] = violations(db.conn, schema)
    assert found.promise == "no step fails without a cause"
    assert_kept(db.conn, schema, gone=["victim"])


def test_a_failure_that_nobody_was_told_to_raise_is_found(own_database: Database):
    """Where the types of errors that handlers raise are known."""
    db = own_database.main
    db.run_with("a")
    db.fail(db.claim_only("a"), {"type": "Surprise", "message": "boom"})
    schema = own_database.schema
    assert_kept(db.conn, schema, failures=["Surprise"])
    [found] = violations(db.conn, schema, failures=["Expected"])
    assert "Surprise" in found.details


def test_a_deadlock_is_found(own_database: Database):
    """The server counts them."""
    db, one, two = own_database.main, own_database.connect("one"), own_database.connect("two")
    tasks = [db.run_with("a"), db.start()]
    lock = "select from tasks where task_id = %s for update"
    for session, task in zip((one, two), tasks, strict=True):
        session.begin()
        session.run(lock, task)
    waiting = one.later(one.run, lock, tasks[1]).blocked_by(two)
    assert "40P01" in [state_of(lambda: two.run(lock, tasks[0])), state_of(waiting.result)]
    for session in (one, two):
        session.rollback()
        session.run("select pg_stat_force_next_flush()")
        session.run("select 1")
    found = violations(db.conn, own_database.schema)
    assert {each.promise for each in found} == {"nothing deadlocks"}


def state_of(act: Callable[[], Any]) -> str | None:
    """The SQLSTATE with which it is refused."""
    try:
        act()
    except psycopg.Error as error:
        return error.sqlstate
    return None
