"""The log of transitions is guarded whoever writes it: a row typed by hand is either legal, and
everything follows from it, or an error that changes nothing."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from .functions.states import STEP_STATES, TASK_STATES, step_in, task_in, task_of
from .support.session import Session

STEP_EDGES = {
    "pending": {"in_progress", "error", "cancelled", "skipped", "resolved_manually"},
    "in_progress": {"complete", "error", "cancelled", "resolved_manually", "pending"},
    "error": {"pending", "cancelled", "resolved_manually"},
}
TASK_EDGES = {
    "pending": {"in_progress", "cancelled", "error"},
    "in_progress": {"complete", "error", "cancelled", "pending"},
    "error": {"pending", "resolved_manually", "cancelled"},
}
# Legal edges that the steps of a task a->b in that state do not bear.
UNTRUE = {("pending", "error"), ("in_progress", "complete"), ("in_progress", "error"),
          ("in_progress", "pending")}  # fmt: skip
STATES = (
    "pending", "in_progress", "complete", "error", "cancelled", "skipped", "resolved_manually"
)  # fmt: skip
ILLEGAL = "55000|P0002|22023|22004|TK004"


def type_step(db: Session, step: Any, to_state: Any, **more: Any) -> None:
    """What a person types at psql, with as many columns as they like."""
    if to_state == "in_progress" and "runner_id" not in more:
        more["runner_id"] = db.runner
    row = {"workflow_step_id": step, "to_state": to_state, **more}
    columns, places = ", ".join(row), ", ".join(["%s"] * len(row))
    db.run(f"insert into workflow_step_transitions ({columns}) values ({places})", *row.values())


def type_task(db: Session, task: Any, to_state: Any, **more: Any) -> None:
    """The same for a task."""
    row = {"task_id": task, "to_state": to_state, **more}
    columns, places = ", ".join(row), ", ".join(["%s"] * len(row))
    db.run(f"insert into task_transitions ({columns}) values ({places})", *row.values())


@pytest.mark.parametrize("to_state", STATES)
@pytest.mark.parametrize("state", STEP_STATES)
def test_a_step_follows_its_state_machine(db: Session, state: str, to_state: str):
    """Each edge, from each state: done with all that follows, or refused."""
    step = step_in(db, state)
    from_state = "error" if state == "backoff" else state
    assert db.runner
    if to_state in STEP_EDGES.get(from_state, set()):
        type_step(db, step, to_state)
        task = task_of(db, step)
        assert db.step(task, "a").state == to_state
        assert db.last_entry(task, "step", "a").to_state == to_state
    else:
        with db.refused("55000", f"{from_state}"):
            type_step(db, step, to_state)
    db.assert_consistent()
    db.claim(100)


@pytest.mark.parametrize("final", ["complete", "cancelled", "resolved_manually"])
@pytest.mark.parametrize("name", ["a", "b"])
def test_no_step_of_a_final_task_runs(db: Session, final: str, name: str):
    """What is over is over, for its steps that never ran too."""
    task = task_in(db, final)
    assert db.runner
    with db.refused("55000"):
        type_step(db, db.step_id(task, name), "in_progress")


@pytest.mark.parametrize("to_state", [s for s in STATES if s != "skipped"])
@pytest.mark.parametrize("state", TASK_STATES)
def test_a_task_follows_its_state_machine(db: Session, state: str, to_state: str):
    """An edge that its steps do not bear is refused too; the same state again is a pause."""
    task = task_in(db, state)
    if state == to_state and state in TASK_EDGES:
        type_task(db, task, to_state)
        assert (db.state_of(task), db.task(task).paused) == (state, True)
        return
    if to_state in TASK_EDGES.get(state, set()) and (state, to_state) not in UNTRUE:
        type_task(db, task, to_state)
        assert db.state_of(task) == to_state
    else:
        with db.refused("55000"):
            type_task(db, task, to_state)


def test_complete_needs_every_step_to_be_over(db: Session):
    """Neither unfinished nor failed."""
    task = task_in(db, "in_progress")
    with db.refused("55000", f"{task}.*complete"):
        type_task(db, task, "complete")


@pytest.mark.parametrize(
    ("forged", "match"),
    [
        ({"from_state": "in_progress"}, "in_progress"),
        ({"sort_key": 1}, ""),
        ({"sort_key": 7}, "sort_key"),
        ({"sort_key": 0}, "sort_key"),
        ({"attempts": 7}, "attempts"),
        ({"most_recent": False}, "most recent"),
    ],
)
def test_a_forged_row_is_refused(db: Session, forged: dict[str, Any], match: str):
    """What a row says of its past must be true."""
    step = step_in(db, "pending")
    db.claim(1)
    type_step(db, step, "pending")
    assert db.runner
    with db.refused("55000", match):
        type_step(db, step, "cancelled", **forged)


@pytest.mark.parametrize(
    "forged",
    [{"from_state": "pending"}, {"sort_key": 1}, {"sort_key": 7}, {"most_recent": False}],
)
def test_a_forged_row_of_a_task_is_refused(db: Session, forged: dict[str, Any]):
    """The same for tasks."""
    task = task_in(db, "in_progress")
    with db.refused("55000"):
        type_task(db, task, "cancelled", **forged)


@pytest.mark.parametrize("step", [None, 0, 987654321])
def test_an_unknown_step_is_refused(db: Session, step: int | None):
    """Null too."""
    with db.refused(ILLEGAL):
        type_step(db, step, "cancelled")


@pytest.mark.parametrize("task", [None, 0, 987654321])
def test_an_unknown_task_is_refused(db: Session, task: int | None):
    """Null too."""
    with db.refused(ILLEGAL):
        type_task(db, task, "cancelled")


@pytest.mark.parametrize("to_state", ["done", "", "Complete"])
def test_an_unknown_state_is_refused(db: Session, to_state: str):
    """For steps and for tasks."""
    step = step_in(db, "pending")
    for write, which in ((type_step, step), (type_task, task_of(db, step))):
        with db.refused("55000"):
            write(db, which, to_state)


def test_the_same_step_twice_in_one_statement_is_refused(db: Session):
    """Which of the two would be the last?"""
    step = step_in(db, "in_progress")
    for second in ("complete", "error", "pending"):
        with db.refused("55000"):
            db.run(
                "insert into workflow_step_transitions (workflow_step_id, to_state)"
                " values (%s, 'complete'), (%s, %s)",
                step, step, second,
            )  # fmt: skip


def test_the_same_task_twice_in_one_statement_is_refused(db: Session):
    """The same for tasks."""
    task = task_in(db, "pending")
    with db.refused("55000"):
        db.run(
            "insert into task_transitions (task_id, to_state)"
            " values (%s, 'cancelled'), (%s, 'cancelled')",
            task, task,
        )  # fmt: skip


def test_several_steps_in_one_statement(db: Session):
    """A parent and its child, and what follows from both."""
    task = db.run_with("a->b->c", b={"skippable": True})
    db.claim_only("a")
    db.run(
        "insert into workflow_step_transitions (workflow_step_id, to_state)"
        " values (%s, 'skipped'), (%s, 'complete')",
        db.step_id(task, "b"), db.step_id(task, "a"),
    )  # fmt: skip
    assert db.steps_of(task) == {"a": "complete", "b": "skipped", "c": "pending"}
    assert db.claim_only("c")


def test_a_child_starts_in_the_statement_that_ends_the_last_of_its_parents(db: Session):
    """And not before: of two parents one is not enough."""
    task = db.run_with("a->c b->c c->d")
    db.claim(2)
    a, b, c = (db.step_id(task, name) for name in "abc")
    insert = "insert into workflow_step_transitions (workflow_step_id, to_state, runner_id) values "
    with db.refused("55000"):
        db.run(insert + "(%s, 'complete', null), (%s, 'in_progress', %s)", a, c, db.runner)
    db.run(
        insert + "(%s, 'in_progress', %s), (%s, 'complete', null), (%s, 'complete', null)",
        c, db.runner, a, b,
    )  # fmt: skip
    assert db.steps_of(task)["c"] == "in_progress"
    db.assert_consistent()
    assert db.claim(5) == []
    claim = db.one("select claim_id from workflow_steps where workflow_step_id = %s", c)
    db.call("complete_step", workflow_step_id=c, claim_id=claim)
    assert db.claim_only("d")


def test_tasks_of_all_fates_in_one_statement(db: Session):
    """One starts, one ends, one fails, one goes on: each is decided for itself."""
    db.define("a->b", steps={"a": {"skippable": True}, "b": {"skippable": True}})
    starts, goes_on, fails, ends = db.call("create_tasks", name="flow", contexts=[{}] * 4)
    db.call("skip_step", workflow_step_id=db.step_id(ends, "a"))
    db.run(
        "insert into workflow_step_transitions (workflow_step_id, to_state, runner_id)"
        " values (%s, 'skipped', null), (%s, 'in_progress', %s), (%s, 'skipped', null),"
        " (%s, 'error', null)",
        db.step_id(ends, "b"), db.step_id(starts, "a"), db.runner, db.step_id(goes_on, "a"),
        db.step_id(fails, "a"),
    )  # fmt: skip
    states = [db.state_of(task) for task in (starts, goes_on, fails, ends)]
    assert states == ["in_progress", "pending", "error", "complete"]


def test_one_illegal_row_refuses_the_whole_statement(db: Session):
    """The legal ones beside it do not count."""
    task = db.run_with("a b")
    db.claim(2)
    db.complete(db.row("select * from workflow_steps where workflow_step_id = %s", 1))
    with db.refused("55000"):
        db.run(
            "insert into workflow_step_transitions (workflow_step_id, to_state)"
            " values (%s, 'complete'), (%s, 'complete')",
            db.step_id(task, "b"), db.step_id(task, "a"),
        )  # fmt: skip


def test_no_row_at_all_is_nothing(db: Session):
    """An insert that selects nothing fires the triggers all the same."""
    step_in(db, "in_progress")
    before = db.fingerprint()
    for table, key in (("task", "task_id"), ("workflow_step", "workflow_step_id")):
        db.run(
            f"insert into {table}_transitions ({key}, to_state)"
            f" select {key}, 'cancelled' from {table}s where false"
        )
    assert db.fingerprint() == before


def test_in_progress_needs_a_live_runner(db: Session):
    """None, an unknown one, one that ended, and one whose lease ran out."""
    step = step_in(db, "pending")
    ended, silent = db.register(), db.register()
    db.call("deregister_runner", runner_id=ended)
    db.move_clock(20)
    for runner in (None, 987654321, ended, silent):
        with db.refused("55000|TK004"):
            type_step(db, step, "in_progress", runner_id=runner)


def test_in_progress_by_hand_is_a_claim(db: Session):
    """It has a claim id of its own and can be completed like any other."""
    step = step_in(db, "pending")
    type_step(db, step, "in_progress")
    claim = db.one("select claim_id from workflow_steps where workflow_step_id = %s", step)
    assert db.call("heartbeat", runner_id=db.runner, held=[claim]) == []
    db.call("complete_step", workflow_step_id=step, claim_id=claim)
    assert db.steps_of(task_of(db, step))["a"] == "complete"


def test_a_claim_id_is_never_used_again(db: Session):
    """Not by hand either: a stale runner must not be mistaken for the one that has it."""
    step = step_in(db, "in_progress")
    used = db.one("select claim_id from workflow_steps where workflow_step_id = %s", step)
    other = db.step_id(task_of(db, step), "x")
    with pytest.raises(psycopg.Error):
        type_step(db, other, "in_progress", claim_id=used)
    type_step(db, step, "pending")
    with db.refused("55000"):
        type_step(db, step, "in_progress", claim_id=used)


def test_a_step_does_not_run_before_its_parents(db: Session):
    """Nor is it complete before them; a person may resolve it."""
    task = db.run_with("a->b")
    assert db.runner
    with db.refused("55000"):
        type_step(db, db.step_id(task, "b"), "in_progress")


def test_only_a_skippable_step_is_skipped(db: Session):
    """The definition decides, not the hand."""
    task = db.run_with("a")
    with db.refused("55000", "skippable"):
        type_step(db, db.step_id(task, "a"), "skipped")


def test_a_new_round_by_hand(db: Session):
    """error -> pending typed by hand is what retry_step does."""
    step = step_in(db, "error")
    type_step(db, step, "pending")
    [claimed] = db.claim(1)
    assert (claimed.workflow_step_id, claimed.attempt) == (step, 1)


def test_the_hand_is_in_the_log(db: Session):
    """Without an actor it is the session's user."""
    step = step_in(db, "error")
    type_step(db, step, "pending")
    task = task_of(db, step)
    assert db.last_entry(task, "step", "a").actor == db.one("select session_user::text")
    type_task(db, task, "cancelled", actor="ann", reason="because")
    assert (db.last_entry(task).actor, db.last_entry(task).reason) == ("ann", "because")


@pytest.mark.parametrize("table", ["task_transitions", "workflow_step_transitions"])
@pytest.mark.parametrize(
    "change",
    ["delete from {}", "update {} set to_state = 'complete'", "update {} set sort_key = 9",
     "update {} set created_at = clock()", "update {} set actor = 'nobody'"],
)  # fmt: skip
def test_the_log_is_append_only(db: Session, table: str, change: str):
    """Nothing changes or removes what happened."""
    task_in(db, "error")
    with db.refused("55000", "transitions"):
        db.run(change.format(table))
