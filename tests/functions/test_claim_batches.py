"""What began together is one row: no claim of it waits for another, and it goes in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ..support.databases import Database
from ..support.session import Row, Session

HELD = "select claim_id from _held_claims order by claim_id"
LISTED = "select unnest(claim_ids) as claim_id from claim_batches order by 1"


def begun(db: Session, number: int, **step: Any) -> list[Row]:
    """So many tasks of one step, claimed together."""
    db.define("a", steps={"a": step})
    for _ in range(number):
        db.start()
    return sorted(db.claim(number), key=lambda each: each.claim_id)


def complete(db: Session, *claimed: Row, most: int = 0) -> None:
    """All in one report."""
    outcomes = [
        {"workflow_step_id": one.workflow_step_id, "claim_id": one.claim_id, "outcome": "complete"}
        for one in claimed
    ]
    db.call("advance", runner_id=db.runner, outcomes=db.json(outcomes), max_steps=most)


def tidy(db: Session) -> None:
    db.call("heartbeat", runner_id=db.runner)


def asleep(db: Session) -> bool:
    return db.one("select waiting_until is not null from runners where runner_id = %s", db.runner)


def ids(claimed: list[Row]) -> list[int]:
    return [one.claim_id for one in claimed]


def test_what_began_together_is_one_row(db: Session):
    """In which each claim is found."""
    claimed = begun(db, 3)
    assert db.one("select count(*) from claim_batches") == 1
    assert db.column(HELD) == db.column(LISTED) == ids(claimed)


def test_what_ended_is_held_no_more_while_its_batch_is_there(db: Session):
    """The step says so."""
    one, *others = begun(db, 3)
    db.complete(one)
    tidy(db)
    assert db.column(HELD) == ids(others)
    assert db.column(LISTED) == ids([one, *others])
    assert db.one("select held_steps from list_runners()") == 2


def test_a_batch_goes_after_the_last_of_it_has_ended(db: Session):
    """With what was said of its claims."""
    one, two = begun(db, 2)
    db.call("extend_step", **held(one), progress={"done": 1})
    db.complete(one)
    tidy(db)
    assert db.one("select count(*) from claim_extensions") == 1
    db.complete(two)
    tidy(db)
    assert db.column(LISTED) == []
    assert db.one("select count(*) from claim_extensions") == 0


def test_large_batches_go_with_the_report_that_ends_them(db: Session):
    """Several at once; what is not reported as a whole stays."""
    first, second, third = begun(db, 20), begun(db, 20), begun(db, 20)
    db.call("extend_step", **held(first[0]), timeout="1 min")
    complete(db, *first, *second, *third[:5])
    assert db.column(LISTED) == ids(third)
    assert db.column(HELD) == ids(third[5:])
    assert db.one("select count(*) from claim_extensions") == 0


def test_a_busy_runner_tidies_up_behind_itself(db: Session):
    """Without a heartbeat, claim by claim."""
    for _ in range(600):
        complete(db, *begun(db, 1))
    assert db.one("select count(*) from claim_batches") < 500


def test_a_runner_that_goes_to_sleep_forgets_what_it_held(db: Session):
    """With the report after which it holds nothing; while it holds something, all stays."""
    one, two = begun(db, 2)
    db.call("extend_step", **held(one), progress={"done": 1})
    complete(db, one, most=2)
    assert (db.column(LISTED), asleep(db)) == (ids([one, two]), False)
    complete(db, two, most=2)
    assert (db.column(LISTED), asleep(db)) == ([], True)
    assert db.one("select count(*) from claim_extensions") == 0


def test_going_to_sleep_does_not_wait_for_who_tidies_up(database: Database):
    """The batch is left to them, and the runner is woken for what comes all the same."""
    db, other = database.main, database.connect("other")
    (one,) = begun(db, 1)
    other.begin()
    other.run("select from claim_batches for update")
    db.run("set lock_timeout = '1 s'")
    complete(db, one, most=1)
    other.commit()
    assert (db.column(LISTED), asleep(db)) == (ids([one]), True)


def test_a_step_that_is_claimed_again_is_held_once(db: Session):
    """It is listed in two batches, under two claims."""
    db.run_with("a")
    first = db.claim_only("a")
    db.release(first)
    second = db.claim_only("a")
    assert db.column(LISTED) == [first.claim_id, second.claim_id]
    assert db.column(HELD) == [second.claim_id]
    assert db.call("heartbeat", runner_id=db.runner, held=[first.claim_id, second.claim_id]) == [
        first.claim_id
    ]


def test_a_claim_that_is_given_twice_is_valid_twice(db: Session):
    """A runner may list what it holds as it likes."""
    one, two = ids(begun(db, 2))
    assert db.call("heartbeat", runner_id=db.runner, held=[one, two, one]) == []


def held(claimed: Row) -> dict[str, int]:
    return {"workflow_step_id": claimed.workflow_step_id, "claim_id": claimed.claim_id}


WHILE_ANOTHER_ENDS: dict[str, Callable[[Session, Row], Any]] = {
    "complete": lambda db, claimed: db.complete(claimed),
    "fail": lambda db, claimed: db.fail(claimed),
    "release": lambda db, claimed: db.release(claimed),
    "extend": lambda db, claimed: db.call("extend_step", **held(claimed), timeout="1 min"),
    "cancel": lambda db, claimed: db.call("cancel_task", task_id=claimed.task_id),
    "report": lambda db, claimed: complete(db, claimed, most=5),
}


@pytest.mark.parametrize("theirs", WHILE_ANOTHER_ENDS)
@pytest.mark.parametrize("ours", WHILE_ANOTHER_ENDS)
def test_claims_of_a_batch_do_not_wait_for_each_other(database: Database, ours: str, theirs: str):
    """One of them ends, or goes on, in a transaction that stays open."""
    db, other = database.main, database.connect("other")
    one, two, three = begun(db, 3)
    other.begin()
    WHILE_ANOTHER_ENDS[theirs](other, one)
    db.run("set lock_timeout = '1 s'")
    WHILE_ANOTHER_ENDS[ours](db, two)
    tidy(db)
    assert three.claim_id in db.column(HELD)
    other.commit()
    db.assert_consistent()


def test_a_batch_stays_while_the_end_of_its_last_claim_is_not_committed(database: Database):
    """It may be rolled back."""
    db, other = database.main, database.connect("other")
    one, two = begun(db, 2)
    db.complete(one)
    other.begin()
    other.complete(two)
    tidy(db)
    other.rollback()
    assert db.column(HELD) == [two.claim_id]
    db.assert_consistent()
    db.complete(two)
    tidy(db)
    assert db.column(LISTED) == []


def test_two_who_tidy_up_do_not_wait(database: Database):
    """What one of them drops, the other leaves."""
    db, other = database.main, database.connect("other")
    (one,) = begun(db, 1)
    db.complete(one)
    other.begin()
    other.run("select _drop_ended_claims(array[%s])", db.runner)
    db.run("set lock_timeout = '1 s'")
    assert db.one("select _drop_ended_claims(array[%s])", db.runner) == 0
    other.rollback()
    assert db.one("select _drop_ended_claims(array[%s])", db.runner) == 1


def test_large_reports_do_not_wait_for_who_tidies_up(database: Database):
    """They leave the batch to a later look."""
    db, other = database.main, database.connect("other")
    claimed = begun(db, 20)
    other.begin()
    other.run("select from claim_batches for update")
    db.run("set lock_timeout = '1 s'")
    complete(db, *claimed)
    other.commit()
    assert db.column(LISTED) == ids(claimed)
    tidy(db)
    assert db.column(LISTED) == []


# Timeouts


def timed_out(db: Session, *claimed: Row) -> list[bool]:
    states = [db.steps_of(one.task_id)["a"] for one in claimed]
    return [state == "error" for state in states]


def test_each_of_a_batch_has_its_own_timeout(db: Session):
    """A batch is due with the first, then with the next."""
    once = {"retry_limit": 1}
    steps = {"a": {"timeout": 10, **once}, "b": {"timeout": 100, **once}, "c": {}}
    task = db.run_with("a b c", **steps)
    db.claim(3)
    db.wait(30)
    assert db.steps_of(task) == {"a": "error", "b": "in_progress", "c": "in_progress"}
    db.wait(100)
    assert db.steps_of(task) == {"a": "error", "b": "error", "c": "in_progress"}
    assert db.column("select timeout_at from claim_batches") == [None]
    db.assert_consistent()


def test_more_or_less_time_is_of_one_attempt(db: Session):
    """The others of its batch have what they had."""
    longer, shorter, same = begun(db, 3, timeout=30, retry_limit=1)
    db.call("extend_step", **held(longer), timeout="100 s")
    db.call("extend_step", **held(shorter), timeout="1 s")
    db.wait(20)
    assert timed_out(db, longer, shorter, same) == [False, True, False]
    db.wait(30)
    assert timed_out(db, longer, shorter, same) == [False, True, True]
    db.wait(70)
    assert timed_out(db, longer, shorter, same) == [True, True, True]


@pytest.mark.parametrize("extended", [False, True])
def test_the_timeout_of_what_has_ended_calls_nobody(db: Session, extended: bool):
    """maintain has nothing to do for it, once it has looked."""
    one, two = begun(db, 2, timeout=10)
    if extended:
        db.call("extend_step", **held(one), timeout="10 s")
    complete(db, one, two)
    db.move_clock(20)
    db.call("heartbeat", runner_id=db.register())
    db.call("maintain")
    assert db.column("select timeout_at from claim_batches where timeout_at is not null") == []
    assert db.column("select timeout_at from claim_extensions") == []
    assert (db.call("maintain") - db.call("clock")).total_seconds() > 0.1


def test_an_attempt_that_is_being_reported_is_not_failed(database: Database):
    """Its batch stays due until that is decided."""
    db, other = database.main, database.connect("other")
    reported, late = begun(db, 2, timeout=10, retry_limit=1)
    other.begin()
    other.complete(reported)
    db.wait(30)
    assert timed_out(db, reported, late) == [False, True]
    other.rollback()
    db.call("maintain")
    assert timed_out(db, reported, late) == [True, True]


def test_two_who_look_for_timeouts_do_not_wait(database: Database):
    """What one has in hand, the other leaves."""
    db, other = database.main, database.connect("other")
    begun(db, 2, timeout=10)
    db.call("heartbeat", runner_id=db.runner)
    db.move_clock(14)
    db.call("heartbeat", runner_id=db.runner)
    db.move_clock(12)
    other.begin()
    other.call("maintain")
    db.run("set lock_timeout = '1 s'")
    db.call("maintain")
    other.commit()
    db.assert_consistent()


def test_batches_of_a_lost_runner_go_with_what_it_held(db: Session):
    """And then the runner may be forgotten."""
    one, two = begun(db, 2)
    lost = db.runner
    db.complete(one)
    db.move_clock(60)
    db.call("maintain")
    assert db.steps_of(two.task_id) == {"a": "pending"}
    assert db.column("select runner_id from claim_batches") == []
    db.move_clock(60 * 60 * 24 * 30)
    db.call("maintain")
    assert lost not in db.column("select runner_id from runners")


def test_batches_of_a_runner_that_leaves_go_with_it(db: Session):
    """All at once."""
    one, _ = begun(db, 2)
    db.complete(one)
    db.call("deregister_runner", runner_id=db.runner)
    assert db.column(LISTED) == []
    db.assert_consistent()


def test_runners_that_are_typed_by_hand_hold_what_they_began(db: Session):
    """Several with one insert, each on its own account."""
    first, second = db.register(), db.register()
    task = db.run_with("a b c")
    ids_of = [db.step_id(task, name) for name in "abc"]
    db.run(
        "insert into workflow_step_transitions (workflow_step_id, to_state, runner_id, claim_id)"
        " select * from unnest(%s::bigint[], array['in_progress', 'in_progress', 'in_progress'],"
        " %s::bigint[], %s::bigint[])",
        ids_of,
        [first, second, first],
        [1_000_001, 1_000_002, 1_000_003],
    )
    by_runner = (
        "select array_agg(claim_id order by claim_id) from _held_claims where runner_id = %s"
    )
    assert db.one(by_runner, first) == [1_000_001, 1_000_003]
    assert db.one(by_runner, second) == [1_000_002]
    db.assert_consistent()
