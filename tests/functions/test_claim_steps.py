"""claim_steps: the right to execute one attempt of each of some steps."""

from __future__ import annotations

import pytest

from ..support.databases import Database
from ..support.session import Session

FIELDS = (
    "workflow_step_id", "claim_id", "task_id", "namespace", "workflow_name", "version",
    "step_name", "handler", "attempt", "retry_limit", "context", "inputs", "dependency_results",
    "timeout", "tags", "priority",
)  # fmt: skip


def names(claimed: list[object]) -> list[str]:
    return [step.step_name for step in claimed]  # type: ignore[attr-defined]


def test_a_claim_says_all_that_a_runner_needs(db: Session):
    """One row carries everything: no second question is asked."""
    db.define(
        "a",
        "flow",
        namespace="shop",
        version="1.2.3",
        steps={"a": {"handler": "h", "timeout": 1.5, "inputs": {"x": 1}, "priority": 4}},
    )
    task = db.start(context={"n": 1}, namespace="shop", tags=["t"])
    claimed = db.claim_only()
    assert claimed._fields == FIELDS
    known = claimed._asdict()
    assert known.pop("claim_id") > 0
    assert known == {
        "workflow_step_id": db.step_id(task, "a"),
        "task_id": task,
        "namespace": "shop",
        "workflow_name": "flow",
        "version": "1.2.3",
        "step_name": "a",
        "handler": "h",
        "attempt": 1,
        "retry_limit": 3,
        "context": {"n": 1},
        "inputs": {"x": 1},
        "dependency_results": {},
        "timeout": 1.5,
        "tags": ["t"],
        "priority": 4,
    }


def test_a_claim_puts_step_and_task_to_work(db: Session):
    """State, times and runner show it."""
    task = db.run_with("a->b")
    db.move_clock(5)
    db.claim_only("a")
    step = db.step(task, "a")
    assert (step.state, step.attempts, step.runner_id) == ("in_progress", 1, db.runner)
    assert step.started_at == db.task(task).started_at == db.call("clock")
    assert db.state_of(task) == "in_progress"


def test_results_of_the_parents_come_along(db: Session):
    """Of the direct parents only; a result that was not given is null."""
    db.run_with("z->a->c b->c")
    for step in db.claim(2):
        db.complete(step, {"by": "z"} if step.step_name == "z" else None)
    db.finish_step("a", {"by": "a"})
    assert db.claim_only("c").dependency_results == {"a": {"by": "a"}, "b": None}


def test_a_step_is_claimed_once(db: Session):
    """It comes again only when the attempt is over."""
    db.run_with("a")
    first = db.claim_only("a")
    assert db.claim(10) == []
    db.release(first)
    second = db.claim_only("a")
    assert second.workflow_step_id == first.workflow_step_id
    assert second.claim_id != first.claim_id


def test_claim_ids_are_never_reused(db: Session):
    """Each attempt has its own, over all steps."""
    db.run_with("a b c")
    seen = []
    for _ in range(4):
        claimed = db.claim(3)
        seen += [step.claim_id for step in claimed]
        for step in claimed:
            db.release(step)
    assert len(set(seen)) == len(seen) == 12


@pytest.mark.parametrize(("asked", "got"), [(0, 0), (1, 1), (3, 3), (5, 5), (100, 5)])
def test_at_most_max_steps(db: Session, asked: int, got: int):
    """Less if there is less; none for none."""
    db.run_with("a b c d e")
    assert len(db.claim(asked)) == got


def test_higher_priority_first_then_oldest(db: Session):
    """Over all tasks and workflows of the queue."""
    db.define("a b", steps={"a": {"priority": 1}, "b": {"priority": 2}})
    first, second = db.start(), db.start()
    order = [(step.step_name, step.task_id) for step in db.claim(10)]
    assert order == [("b", first), ("b", second), ("a", first), ("a", second)]


def test_a_step_that_became_ready_later_comes_later(db: Session):
    """Oldest is by readiness, not by id."""
    db.define("a->z")
    db.start()
    db.finish_step("a")
    db.define("b", "other")
    db.start("other")
    assert names(db.claim(2)) == ["z", "b"]


def test_negative_priorities_come_last(db: Session):
    """0 is the middle, not the bottom."""
    db.run_with("a b c", a={"priority": -5}, c={"priority": 5})
    assert names(db.claim(3)) == ["c", "b", "a"]


def test_only_the_runners_queues(db: Session):
    """A runner gets what it registered for, and priorities hold across its queues."""
    db.run_with(
        "a b c d",
        a={"queue": "x", "priority": 1},
        b={"queue": "y", "priority": 2},
        c={"queue": "z", "priority": 3},
    )
    both = db.register("x", "y")
    assert names(db.claim(10, both)) == ["b", "a"]
    assert names(db.claim(10, db.register("nothing"))) == []
    assert names(db.claim(10, db.register())) == ["d"]


def test_a_paused_task_is_passed_over(db: Session):
    """Others are claimed meanwhile."""
    db.define("a")
    paused, other = db.start(), db.start()
    db.call("pause_task", task_id=paused)
    assert [step.task_id for step in db.claim(10)] == [other]
    db.call("resume_task", task_id=paused)
    assert db.claim_only("a").task_id == paused


def test_a_paused_queue_is_passed_over(db: Session):
    """Its steps wait; those of other queues do not."""
    db.run_with("a b", a={"queue": "x"})
    runner = db.register("x", "default")
    db.call("pause_queue", queue="x")
    assert names(db.claim(10, runner)) == ["b"]
    db.call("resume_queue", queue="x")
    assert names(db.claim(10, runner)) == ["a"]


def test_the_due_are_not_behind_the_undue(db: Session):
    """What waits for a time is not scanned and not claimed."""
    db.define("a")
    later = db.one("select clock() + interval '1 hour'")
    db.call("create_tasks", name="flow", contexts=[{}] * 100, run_at=later, priority=9)
    now = db.start()
    assert [step.task_id for step in db.claim(100)] == [now]


def test_two_runners_never_get_the_same_step(database: Database):
    """Open claims are passed over, not waited for."""
    first, second = database.connect("first"), database.connect("second")
    first.define("a")
    first.call("create_tasks", name="flow", contexts=[{}] * 6)
    first.begin()
    second.begin()
    mine, theirs = first.claim(4), second.claim(4)
    first.commit()
    second.commit()
    assert len(mine) == 4
    assert len(theirs) == 2
    assert not {step.task_id for step in mine} & {step.task_id for step in theirs}


@pytest.mark.parametrize("step", ["complete", "waiting"])
def test_a_queue_row_of_a_step_that_cannot_run_is_dropped(db: Session, step: str):
    """Whoever left it there: the claim looks at the step itself, and goes on with the others."""
    task = db.run_with("complete->waiting open->waiting")
    db.complete(db.claim(1)[0])
    db.run(
        "insert into step_queue (workflow_step_id, enqueued_at, priority, queue, position)"
        " values (%s, clock(), 0, 'default', 0)",
        db.step_id(task, step),
    )
    assert names(db.claim(10)) == ["open"]
    assert db.rows("table step_queue") == []
    assert db.steps_of(task) == {
        "complete": "complete",
        "waiting": "pending",
        "open": "in_progress",
    }


def test_a_claim_that_rolls_back_leaves_the_step(database: Database):
    """It is claimed again, as the first attempt."""
    db, other = database.main, database.connect()
    db.run_with("a")
    assert db.runner
    db.begin()
    db.claim_only("a")
    db.rollback()
    assert other.claim_only("a").attempt == 1


@pytest.mark.parametrize("runner", [None, 0, 987654321])
def test_an_unknown_runner_is_refused(db: Session, runner: int | None):
    """TK004."""
    db.run_with("a")
    with db.refused("TK004|22004", "runner"):
        db.call("claim_steps", runner_id=runner, max_steps=1)


def test_an_expired_runner_is_refused(db: Session):
    """Its lease ran out, whether or not somebody noticed."""
    db.run_with("a")
    runner = db.register()
    db.move_clock(16)
    with db.refused("TK004", f"expired runner {runner}"):
        db.claim(1, runner)


@pytest.mark.parametrize("asked", [None, -1])
def test_a_number_that_is_none_is_refused(db: Session, asked: int | None):
    """Null and negative."""
    assert db.runner
    with db.refused("22004|22023", "max_steps"):
        db.call("claim_steps", runner_id=db.runner, max_steps=asked)


def pass_by(db: Session, tasks: int = 1_500) -> None:
    """So many tasks arrive and are claimed; the heads of the queue move behind them."""
    contexts = [db.json({})] * tasks
    db.run("select count(*) from create_tasks('flow', %s::jsonb[])", contexts)
    assert len(db.claim(10_000)) == tasks
    for _ in range(2):
        db.move_clock(1.5)
        assert db.claim() == []


def test_a_task_whose_transaction_was_open_while_others_passed_is_found(db: Session):
    """It has an earlier place than where claims begin to look; a second later they know."""
    db.define("a", "flow")
    other = db.database.connect()
    other.run("begin")
    task = other.start()
    pass_by(db)
    other.run("commit")
    db.move_clock(1.5)
    assert [claimed.task_id for claimed in db.claim(10)] == [task]


def test_a_search_that_takes_long_is_made_less_often(db: Session):
    """What a search costs is bounded; what only a search finds waits for the next one."""
    db.define("a", "flow")
    other = db.database.connect()
    other.run("begin")
    task = other.start()
    pass_by(db)
    other.run("commit")
    db.run("update housekeeping set search_at = clock() + interval '5 seconds'")
    db.move_clock(4.5)
    assert db.claim(10) == []
    later = db.start()
    assert [claimed.task_id for claimed in db.claim(10)] == [later]
    db.move_clock(1.5)
    assert [claimed.task_id for claimed in db.claim(10)] == [task]


def test_heads_move_sooner_while_much_passes_through(db: Session):
    """Else each claim would step over all that was claimed within the second."""
    db.define("a", "flow")
    pass_by(db, 100)
    looked_at = "select looked_at from housekeeping"
    before = db.one(looked_at)
    db.run("select setval('step_queue_position', nextval('step_queue_position') + 6000)")
    db.move_clock(0.2)
    db.claim()
    assert db.one(looked_at) == before
    db.move_clock(0.1)
    db.claim()
    assert db.one(looked_at) > before
