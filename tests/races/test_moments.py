"""The moments that once went wrong, here or elsewhere, each told as named steps of two sessions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.types.json import Jsonb

from ..support.databases import Database
from ..support.graph import workflow
from ..support.session import Row, Session

BOTH_ORDERS = pytest.mark.parametrize("x_first", [True, False], ids=["x_first", "y_first"])


def running(db: Session, edges: str, **steps: dict[str, object]) -> tuple[int, dict[str, Row]]:
    """A task whose ready steps are all claimed: its id, and the claims by step."""
    task = db.run_with(edges, **steps)
    return task, {step.step_name: step for step in db.claim(100)}


def outcome(claimed: Row, kind: str = "complete") -> dict[str, object]:
    """A line of the batch of `advance`."""
    more = {"error": {"message": "boom"}, "retryable": False} if kind == "fail" else {}
    return {
        "workflow_step_id": claimed.workflow_step_id,
        "claim_id": claimed.claim_id,
        "outcome": kind,
        **more,
    }


def advance(session: Session, runner: int, outcomes: list[dict[str, object]], steps: int) -> Row:
    return session.call("advance", runner_id=runner, outcomes=Jsonb(outcomes), max_steps=steps)


# The end of a task


@BOTH_ORDERS
@pytest.mark.parametrize("edges", ["x y", "x->join y->join"], ids=["two_leaves", "two_parents"])
def test_two_last_finishers_do_not_miss_each_other(
    database: Database, edges: str, x_first: bool
) -> None:
    """Neither sees the other finished in its first look; the task ends, or the join is ready."""
    db, one, two = database.main, database.connect("one"), database.connect("two")
    task, claims = running(db, edges)
    first, second = (claims["x"], claims["y"]) if x_first else (claims["y"], claims["x"])
    one.begin()
    one.complete(first)
    waiting = two.later(two.complete, second).blocked_by(one)
    one.commit()
    waiting.result()
    if "join" in edges:
        assert db.claim_only("join")
    else:
        assert db.state_of(task) == "complete"


@BOTH_ORDERS
def test_a_completion_beside_a_permanent_failure_decides_too(
    database: Database, x_first: bool
) -> None:
    """Whichever of them comes last finds that nothing can go on."""
    db, one, two = database.main, database.connect("one"), database.connect("two")
    task, claims = running(db, "x->join y->join")
    one.begin()
    if x_first:
        one.complete(claims["x"])
        waiting = two.later(two.fail, claims["y"], retryable=False)
    else:
        one.fail(claims["y"], retryable=False)
        waiting = two.later(two.complete, claims["x"])
    waiting.finished_or_blocked()
    one.commit()
    waiting.result()
    assert db.state_of(task) == "error"


@BOTH_ORDERS
def test_the_last_completion_beside_a_failure_that_is_retried(
    database: Database, x_first: bool
) -> None:
    """The task goes on, and ends when the retry succeeds."""
    db, one, two = database.main, database.connect("one"), database.connect("two")
    task, claims = running(db, "x y", y={"backoff": {"base": 1, "jitter": False}})
    one.begin()
    if x_first:
        one.complete(claims["x"])
        waiting = two.later(two.fail, claims["y"])
    else:
        one.fail(claims["y"])
        waiting = two.later(two.complete, claims["x"])
    waiting.finished_or_blocked()
    one.commit()
    waiting.result()
    assert db.state_of(task) == "in_progress"
    db.move_clock(2)
    db.finish_step("y")
    assert db.state_of(task) == "complete"


@pytest.mark.parametrize("verb", ["resolve_step", "skip_step"])
@pytest.mark.parametrize("failure_first", [True, False])
def test_a_step_is_settled_by_hand_while_its_task_becomes_an_error(
    database: Database, verb: str, failure_first: bool
) -> None:
    """The leaf is settled, the task waits for the step that failed; both agree on that."""
    db, one, two = database.main, database.connect("one"), database.connect("two")
    task, claims = running(db, "y->leaf", leaf={"skippable": True})
    leaf = db.step_id(task, "leaf")
    one.begin()
    if failure_first:
        one.fail(claims["y"], retryable=False)
        waiting = two.later(two.call, verb, workflow_step_id=leaf)
    else:
        one.call(verb, workflow_step_id=leaf)
        waiting = two.later(two.fail, claims["y"], retryable=False)
    waiting.finished_or_blocked()
    one.commit()
    waiting.result()
    assert db.state_of(task) == "error"
    db.call("resolve_step", workflow_step_id=claims["y"].workflow_step_id)
    assert db.state_of(task) == "complete"


@pytest.mark.parametrize("completion_first", [True, False])
def test_a_completion_and_a_cancel_leave_nothing_in_the_queue(
    database: Database, completion_first: bool
) -> None:
    """No queue row stays behind for a cancelled child, and later claims of the queue work."""
    db, one, two = database.main, database.connect("one"), database.connect("two")
    task, claims = running(db, "parent->child")
    one.begin()
    if completion_first:
        one.complete(claims["parent"])
        waiting = two.later(two.call, "cancel_task", task_id=task).blocked_by(one)
        one.commit()
        waiting.result()
    else:
        one.call("cancel_task", task_id=task)
        waiting = two.later(two.complete, claims["parent"]).blocked_by(one)
        one.commit()
        with pytest.raises(psycopg.Error) as lost:
            waiting.result()
        assert lost.value.sqlstate == "TK001"
    assert db.state_of(task) == "cancelled"
    assert db.rows("table step_queue") == []
    later = db.start()
    assert db.claim_only("parent").task_id == later


# Runners that are gone


def test_a_claim_in_flight_on_an_expired_runner_is_refused(database: Database) -> None:
    """It waits for the takeover, and then the id is dead."""
    db, one, two = database.main, database.connect("one"), database.connect("two")
    db.run_with("a")
    gone = db.register(name="gone")
    db.move_clock(16)
    one.begin()
    one.call("maintain")
    # This session does not know yet how late it is.
    two.set_clock(db.one("select (clock() - interval '10 s')::text"))
    waiting = two.later(two.claim, 1, gone).blocked_by(one)
    one.commit()
    with pytest.raises(psycopg.Error) as refused:
        waiting.result()
    assert refused.value.sqlstate == "TK004"
    assert db.claim_only("a")


def test_a_takeover_beside_a_claim_in_flight_takes_that_too(database: Database) -> None:
    """The takeover passes the runner over, and finds at its next look what it claimed."""
    db, one = database.main, database.connect("one")
    task = db.run_with("a")
    gone = db.register(name="gone")
    one.begin()
    assert one.claim(1, gone)
    db.move_clock(16)
    db.call("maintain")
    one.commit()
    assert db.steps_of(task) == {"a": "in_progress"}
    db.call("maintain")
    assert db.steps_of(task) == {"a": "pending"}


def test_a_completion_that_comes_during_a_takeover_is_late(database: Database) -> None:
    """It waits, and has lost its claim."""
    db, one, two = database.main, database.connect("one"), database.connect("two")
    task, claims = running(db, "a")
    db.move_clock(16)
    one.begin()
    one.call("maintain")
    waiting = two.later(two.complete, claims["a"]).blocked_by(one)
    one.commit()
    with pytest.raises(psycopg.Error) as lost:
        waiting.result()
    assert lost.value.sqlstate == "TK001"
    assert db.steps_of(task) == {"a": "pending"}


def test_a_takeover_that_comes_during_a_completion_is_late(database: Database) -> None:
    """It waits for nobody, and finds nothing left to take."""
    db, one, two = database.main, database.connect("one"), database.connect("two")
    task, claims = running(db, "a")
    db.move_clock(16)
    one.begin()
    one.complete(claims["a"])
    two.call("maintain")
    one.commit()
    two.call("maintain")
    assert db.state_of(task) == "complete"


# Claims


def test_two_claimers_share_the_queue(database: Database) -> None:
    """The second takes what the first left, and what the first gives up by rolling back."""
    db, one, two = database.main, database.connect("one"), database.connect("two")
    db.define("a")
    db.call("create_tasks", name="flow", contexts=[{}] * 15)
    one.begin()
    first = {step.workflow_step_id for step in one.claim(6)}
    second = {step.workflow_step_id for step in two.claim(100)}
    assert (len(first), len(second), len(first | second)) == (6, 9, 15)
    one.rollback()
    assert {step.workflow_step_id for step in two.claim(100)} == first


def test_many_claimers_at_once_get_each_step_once(database: Database) -> None:
    """And together all of them, whatever they interrupt each other in."""
    db = database.main
    db.define("a->b c")
    db.call("create_tasks", name="flow", contexts=[{}] * 60)
    sessions = [database.connect(f"claimer {number}") for number in range(4)]
    runners = [session.runner for session in sessions]

    def work(session: Session, runner: int) -> list[int]:
        done: list[int] = []
        outcomes: list[dict[str, object]] = []
        while True:
            lost, claimed = advance(session, runner, outcomes, 7)
            assert lost == []
            if not claimed:
                return done
            outcomes = [
                {key: step[key] for key in ("workflow_step_id", "claim_id")}
                | {"outcome": "complete"}
                for step in claimed
            ]
            done += [step["workflow_step_id"] for step in claimed]

    with ThreadPoolExecutor(len(sessions)) as pool:
        done = [step for batch in pool.map(work, sessions, runners) for step in batch]
    # What one of them had locked when all the others looked is still there.
    done += work(db, db.runner)
    assert sorted(done) == db.column("select workflow_step_id from workflow_steps order by 1")
    assert db.column("select distinct state from tasks") == ["complete"]


def test_a_task_that_is_being_started_is_left_to_its_starter(database: Database) -> None:
    """Its other steps wait until the first claim has committed, not the other claimer."""
    db, one, two = database.main, database.connect("one"), database.connect("two")
    db.run_with("a b")
    one.begin()
    [first] = one.claim(1)
    assert two.claim(1) == []
    one.commit()
    assert two.claim_only().step_name != first.step_name


# Batches


def test_one_raced_outcome_does_not_abort_its_batch(database: Database) -> None:
    """It is lost; the others count."""
    db, one, two = database.main, database.connect("one"), database.connect("two")
    task, claims = running(db, "x y z")
    one.begin()
    one.call("resolve_step", workflow_step_id=claims["y"].workflow_step_id)
    batch = [outcome(claims[step]) for step in "zyx"]
    waiting = two.later(advance, two, db.runner, batch, 0).blocked_by(one)
    one.commit()
    assert waiting.result().lost == [claims["y"].claim_id]
    assert db.steps_of(task) == {"x": "complete", "y": "resolved_manually", "z": "complete"}


def test_batches_in_opposite_order_do_not_deadlock(database: Database) -> None:
    """Both are held at the first step in the order of locks, with nothing locked yet."""
    db, gate = database.main, database.connect("gate")
    one, two = database.connect("one"), database.connect("two")
    _, claims = running(db, "x->j y->j z")
    batch = [outcome(claims[step]) for step in "xyz"]
    lowest = min(step.workflow_step_id for step in claims.values())
    gate.begin()
    gate.run("select from workflow_steps where workflow_step_id = %s for update", lowest)
    up = one.later(advance, one, db.runner, batch, 1).blocked_by(gate)
    down = two.later(advance, two, db.runner, batch[::-1], 1).finished_or_blocked()
    gate.rollback()
    lost = [up.result().lost, down.result().lost]
    assert sorted(map(len, lost)) == [0, 3]


def test_the_same_keys_in_opposite_order_do_not_deadlock(database: Database) -> None:
    """Keys are taken in their own order, whatever order they are given in."""
    db, gate = database.main, database.connect("gate")
    one, two = database.connect("one"), database.connect("two")
    db.define("a")
    keys = ["k1", "k2", "k3"]
    gate.begin()
    gate.start(idempotency_key="k1")

    def create(session: Session, keys: list[str]) -> list[int]:
        return list(
            session.call("create_tasks", name="flow", contexts=[{}] * 3, idempotency_keys=keys)
        )

    up = one.later(create, one, keys).blocked_by(gate)
    down = two.later(create, two, keys[::-1]).blocked_by(gate)
    gate.rollback()
    assert up.result() == down.result()[::-1]
    assert db.one("select count(*) from tasks") == 3


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_the_same_key_at_once_makes_one_task(database: Database, ending: str) -> None:
    """The second waits for the first, and gets its task, or makes its own."""
    db, one, two = database.main, database.connect("one"), database.connect("two")
    db.define("a->b")
    one.begin()
    first = one.start(idempotency_key="key")
    waiting = two.later(two.start, idempotency_key="key").blocked_by(one)
    one.run(ending)
    assert (waiting.result() == first) == (ending == "commit")
    assert db.one("select count(*) from tasks") == 1


# Long transactions


def test_an_hour_long_transaction_that_started_a_task_is_in_nobodys_way(
    database: Database,
) -> None:
    """Neither in that of claimers nor of creators, be queue and priority ever so new."""
    db, slow = database.main, database.connect("slow")
    db.define("a->b", steps={"a": {"queue": "fresh", "priority": 77}})
    runner = db.register("fresh", "default")
    slow.begin()
    forgotten = slow.start()
    for _ in range(4):
        db.call("create_tasks", name="flow", contexts=[{}] * 400)
        while claimed := db.claim(200, runner):
            advance(db, runner, [outcome(step) for step in claimed], 0)
        for _ in range(90):
            db.call("heartbeat", runner_id=runner)
            db.move_clock(10)
        db.call("maintain")
    slow.commit()
    # The claims have moved on by 3,200 places; the next look, a second later, finds it.
    db.move_clock(1)
    db.call("heartbeat", runner_id=runner)
    db.call("maintain")
    assert db.claim_only("a", runner).task_id == forgotten


def test_an_open_transaction_that_started_the_first_task_of_a_queue(database: Database) -> None:
    """Others start tasks there and claim them meanwhile."""
    db, slow = database.main, database.connect("slow")
    db.define("a", steps={"a": {"queue": "fresh"}})
    slow.begin()
    first = slow.start()
    second = db.start()
    assert db.claim_only("a").task_id == second
    slow.commit()
    assert db.claim_only("a").task_id == first


# Definitions


@pytest.mark.parametrize("edges", ["a->b", "a->c"], ids=["same", "changed"])
@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_workflow_is_registered_twice_at_once(
    database: Database, edges: str, ending: str
) -> None:
    """The second waits; there is one version, with the content that came last."""
    db, one, two = database.main, database.connect("one"), database.connect("two")
    one.begin()
    one.call("register_workflow", definition=workflow("a->b"))
    waiting = two.later(
        two.call, "register_workflow", definition=workflow(edges)
    ).blocked_by(one)  # fmt: skip
    one.run(ending)
    waiting.result()
    revision = 2 if (edges, ending) == ("a->c", "commit") else 1
    assert db.row("select count(*), max(revision) from named_tasks") == (1, revision)
    assert set(db.steps_of(db.start())) == set(edges.split("->"))


def test_a_workflow_changes_while_a_task_of_it_starts(database: Database) -> None:
    """Neither waits; the task has the steps of one revision."""
    db, one, two = database.main, database.connect("one"), database.connect("two")
    db.define("a->b")
    one.begin()
    one.call("register_workflow", definition=workflow("a->c"))
    old = two.start()
    one.commit()
    assert set(db.steps_of(old)) == {"a", "b"}
    assert set(db.steps_of(two.start())) == {"a", "c"}
