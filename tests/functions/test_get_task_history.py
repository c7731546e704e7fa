"""get_task_history: the log of a task and of its steps, in order."""

from __future__ import annotations

from ..support.session import Session
from .states import check_that_ids_are_needed

COLUMNS = (
    "created_at", "entity", "workflow_step_id", "name", "from_state", "to_state", "sort_key",
    "actor", "attempts", "attempt_counts", "due_at", "reason", "results", "error", "metadata",
)  # fmt: skip


def test_the_columns(db: Session):
    """In the documented order."""
    assert db.history(_one_step_run(db))[0]._fields == COLUMNS


def _one_step_run(db: Session) -> int:
    task = db.run_with("a")
    db.settle(task)
    return task


def test_a_run_reads_like_a_story(db: Session):
    """Task and steps, each in its own order."""
    task = db.run_with("a->b", a={"retry_limit": 2})
    db.fail(db.claim_only("a"), retry_after="1 s")
    db.wait(1)
    db.finish_step("a")
    db.move_clock(1)
    db.finish_step("b")
    story = [(entry.name, entry.from_state, entry.to_state) for entry in db.history(task)]
    assert [line for line in story if line[0] == "a"] == [
        ("a", "pending", "in_progress"),
        ("a", "in_progress", "error"),
        ("a", "error", "pending"),
        ("a", "pending", "in_progress"),
        ("a", "in_progress", "complete"),
    ]
    tasks = [entry for entry in db.history(task) if entry.entity == "task"]
    assert [(entry.from_state, entry.to_state) for entry in tasks] == [
        ("pending", "in_progress"),
        ("in_progress", "complete"),
    ]
    assert story.index(("a", "in_progress", "complete")) < story.index(
        ("b", "pending", "in_progress")
    )


def test_order_within_a_step_is_by_sort_key(db: Session):
    """Never by time: clocks are set back."""
    task = db.run_with("a")
    claimed = db.claim_only("a")
    db.set_clock("2029-12-31 23:59:00+00")
    db.release(claimed)
    keys = [entry.sort_key for entry in db.history(task) if entry.entity == "step"]
    assert keys == sorted(keys)
    db.database.set_clock("2030-01-01 00:00:01+00")


def test_what_each_kind_of_entry_says(db: Session):
    """Attempts, delays, results and errors stand where they happened."""
    task = db.run_with("a", a={"retry_limit": 3})
    db.fail(db.claim_only("a"), {"message": "boom"}, retry_after="5 s")
    db.wait(5)
    db.release(db.claim_only("a"), delay="5 s")
    db.wait(5)
    db.finish_step("a", {"n": 1})
    claimed, failed, due, _, released, _, done = [
        entry for entry in db.history(task) if entry.entity == "step"
    ]
    assert (claimed.attempts, claimed.to_state) == (1, "in_progress")
    assert (failed.attempts, failed.error) == (1, {"message": "boom"})
    assert (failed.due_at - failed.created_at).total_seconds() == 5
    assert (due.from_state, due.to_state) == ("error", "pending")
    assert (released.attempts, released.attempt_counts) == (1, False)
    assert (released.due_at - released.created_at).total_seconds() == 5
    assert (done.attempts, done.results) == (2, {"n": 1})


def test_the_actor_is_a_runner_a_person_or_the_engine(db: Session):
    """Nothing happens by nobody."""
    task = db.run_with("a")
    db.fail(db.claim_only("a"), retry_after="1 s")
    db.wait(1)
    db.call("cancel_task", task_id=task, actor="ann")
    actors = [entry.actor for entry in db.history(task) if entry.entity == "step"]
    assert f"runner of {db.name}" in actors[0]
    assert f"runner of {db.name}" in actors[1]
    assert actors[2] == "engine"
    assert actors[3] == "ann"


def test_other_tasks_are_not_in_it(db: Session):
    """One task's log is its own."""
    task, other = db.run_with("a"), db.start()
    db.claim(2)
    ids = {entry.workflow_step_id for entry in db.history(task) if entry.entity == "step"}
    assert ids == {db.step_id(task, "a")}
    assert db.step_id(other, "a") not in ids


def test_a_task_to_which_nothing_happened(db: Session):
    """No transition is pending."""
    assert db.history(db.run_with("a")) == []


def test_the_task_must_exist(db: Session):
    """Null and unknown ids are refused."""
    check_that_ids_are_needed(db, "get_task_history", "task_id")
