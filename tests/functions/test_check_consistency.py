"""check_consistency: every disagreement and every broken invariant; no rows = healthy.

Every test of the suite ends with it, so it must find what is wrong: here things are broken on
purpose, behind the back of the triggers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ..support.databases import Database
from ..support.session import Session
from .states import STEP_STATES, TASK_STATES, step_in, task_in

COLUMNS = ("violation", "task_id", "workflow_step_id", "details")


@pytest.mark.parametrize("state", TASK_STATES)
def test_every_state_of_a_task_is_healthy(db: Session, state: str):
    """No false alarm."""
    task_in(db, state)
    db.assert_consistent()


@pytest.mark.parametrize("state", STEP_STATES)
def test_every_state_of_a_step_is_healthy(db: Session, state: str):
    """Nor here."""
    step_in(db, state)
    db.assert_consistent()


@pytest.fixture
def broken(own_database: Database) -> Iterator[Session]:
    """A session to which no trigger applies, in a database with a bit of everything."""
    db = own_database.main
    if not db.one("select rolsuper from pg_roles where rolname = current_user"):
        pytest.skip("only a superuser can get behind the triggers")
    db.run_with("a->b->c", a={"retry_limit": 1})
    db.claim_only("a")
    task = db.start()
    db.settle(task)
    db.define("x y", "other")
    db.start("other")
    flaky = db.start("other")
    for step in db.claim(10):
        if step.task_id == flaky:
            db.fail(step, retry_after="1 hour")
    db.start("other")
    db.assert_consistent()
    db.run("set session_replication_role = replica")
    return db


BREAKAGES = {
    "a state that is not the log's": (
        "update workflow_steps set state = 'skipped' where state = 'pending'"
    ),
    "a task state that is not the log's": "update tasks set state = 'error'",
    "a task that is paused only in its row": "update tasks set paused = true where not complete",
    "a parent that is not counted": (
        "update workflow_steps set unsatisfied_parents = 0 where unsatisfied_parents > 0"
    ),
    "a queue row too few": "delete from step_queue where due_at is null",
    "a queue row of a retry too few": "delete from step_queue where due_at is not null",
    "a queue row too many": (
        "insert into step_queue (workflow_step_id, enqueued_at, priority, queue)"
        " select workflow_step_id, clock(), 0, 'default' from workflow_steps"
        " where unsatisfied_parents > 0 limit 1"
    ),
    "a queue row of nothing": (
        "insert into step_queue (workflow_step_id, enqueued_at, priority, queue)"
        " values (987654321, clock(), 0, 'default')"
    ),
    "a queue row with another priority": "update step_queue set priority = 7",
    "a queue row in another queue": "update step_queue set queue = 'x'",
    "a queue row with another time": (
        "update step_queue set due_at = due_at + interval '1 s' where due_at is not null"
    ),
    "a queue row that is wrong about a retry": "update step_queue set is_retry = not is_retry",
    "a claim that is no runner's": "delete from claim_batches",
    "a claim of an unknown runner": "delete from runners",
    "a claim too many": (
        "insert into claim_batches (runner_id, claim_id, step_ids, claim_ids)"
        " select runner_id, 987654321, step_ids, claim_ids from claim_batches limit 1"
    ),
    "an extension of nothing": (
        "insert into claim_extensions (claim_id, workflow_step_id) values (987654321, 987654321)"
    ),
    "a step that counts other attempts": "update workflow_steps set attempts = attempts + 1",
    "a step that was attempted at another time": (
        "update workflow_steps set last_attempted_at = clock() + interval '1 s'"
        " where state = 'in_progress'"
    ),
    "a step that failed at another time": (
        "update workflow_steps set last_failure_at = null where state = 'error'"
    ),
    "a gap in the log": "delete from workflow_step_transitions where sort_key = 1",
    "a log that jumps": (
        "update workflow_step_transitions set from_state = 'error' where to_state = 'complete'"
    ),
    "two last transitions": "update workflow_step_transitions set most_recent = true",
    "no last transition": "update task_transitions set most_recent = false",
    "a transition of nothing": (
        "insert into workflow_step_transitions (workflow_step_id, sort_key, from_state, to_state,"
        " attempts) values (987654321, 1, 'pending', 'cancelled', 0)"
    ),
    "a task transition of nothing": (
        "insert into task_transitions (task_id, sort_key, from_state, to_state, paused)"
        " values (987654321, 1, 'pending', 'cancelled', false)"
    ),
    "an edge of nothing": "insert into workflow_step_edges values (987654321, 987654322)",
    "an edge between two tasks": (
        "insert into workflow_step_edges"
        " select min(workflow_step_id), max(workflow_step_id) from workflow_steps"
    ),
    "a step without its task": "delete from tasks where complete",
    "a task without steps": (
        "delete from workflow_steps where task_id = (select min(task_id) from tasks)"
    ),
    "a task that is over too early": "update tasks set state = 'complete' where not complete",
    "a miscounted failure": "update tasks set failures = failures + 1 where not complete",
}


@pytest.mark.breaks_promises("behind the back of the triggers")
@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=BREAKAGES)
def test_what_is_broken_is_found(broken: Session, breakage: str):
    """With words, and with what it is about."""
    broken.run(breakage)
    rows = broken.call("check_consistency")
    assert rows
    assert rows[0]._fields == COLUMNS
    assert all(row.violation and row.details for row in rows)
    assert all(row.task_id or row.workflow_step_id for row in rows)


@pytest.mark.breaks_promises("behind the back of the triggers")
def test_a_task_that_waits_for_what_cannot_happen(broken: Session):
    """The failure that no state machine catches."""
    broken.run("delete from step_queue")
    broken.run("update workflow_steps set due_at = null where state = 'error'")
    broken.run("update workflow_step_transitions set due_at = null where to_state = 'error'")
    found = {row.violation for row in broken.call("check_consistency")}
    assert any("cannot happen" in violation for violation in found), found


@pytest.mark.newest_only
def test_each_row_is_read_a_few_times_where_nothing_was_analyzed(own_database: Database):
    """Right after a load the planner knows nothing: no step costs a look at a whole table."""
    db = own_database.main
    db.define("a->b a->c b->d c->d")
    db.call("create_tasks", name="flow", contexts=[{}] * 500)
    outcomes: list[dict[str, Any]] = []
    while True:
        answer = db.call("advance", runner_id=db.runner, outcomes=db.json(outcomes), max_steps=1000)
        if not answer.claimed:
            break
        outcomes = [
            {key: step[key] for key in ("workflow_step_id", "claim_id")} | {"outcome": "complete"}
            for step in answer.claimed
        ]
    with db.conn.transaction():
        before = _rows_read(db)
        assert db.rows("select * from check_consistency()") == []
        read = _rows_read(db) - before
    rows = sum(db.one(f"select count(*) from {table}") for table in db.tables())
    assert read <= 20 * rows


def _rows_read(db: Session) -> int:
    """How many rows this transaction has read from tables, by scan or by index."""
    return int(
        db.one(
            "select coalesce(sum(seq_tup_read + idx_tup_fetch), 0) from pg_stat_xact_user_tables"
        )
    )
