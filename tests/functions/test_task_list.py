"""task_list: a view with one row for each task, for lists and filters."""

from __future__ import annotations

from ..support.session import Session

COLUMNS = (
    "task_id", "namespace", "name", "version", "state", "complete", "paused", "priority", "tags",
    "initiator", "idempotency_key", "total_steps", "processed_steps", "failed_steps", "progress",
    "run_at", "created_at", "started_at", "finished_at",
)  # fmt: skip


def test_the_columns(db: Session):
    """In the documented order."""
    db.run_with("a")
    assert db.row("table task_list")._fields == COLUMNS


def test_it_agrees_with_get_task(db: Session):
    """In every column that both have."""
    db.define("a->b c", namespace="shop", version="1.2.3")
    task = db.start(
        namespace="shop",
        priority=3,
        tags=["t"],
        initiator="ann",
        idempotency_key="k",
        run_at=db.one("select clock()"),
    )
    db.move_clock(1)
    for step in db.claim(2):
        db.complete(step)
    db.break_step("b")
    db.call("pause_task", task_id=task)
    shown, known = db.row("table task_list"), db.task(task)
    for column in COLUMNS:
        if column != "progress":
            assert getattr(shown, column) == getattr(known, column), column


def test_progress_is_the_share_of_final_steps(db: Session):
    """In percent."""
    task = db.run_with("a->b->c")
    progress = "select progress from task_list where task_id = %s"
    seen = [float(db.one(progress, task))]
    for name in ("a", "b", "c"):
        db.finish_step(name)
        seen.append(float(db.one(progress, task)))
    assert [round(percent) for percent in seen] == [0, 33, 67, 100]
    assert db.one("select finished_at from task_list") == db.call("clock")


def test_every_task_is_in_it(db: Session):
    """Those that are over too."""
    db.define("a")
    tasks = [db.start() for _ in range(3)]
    db.call("cancel_task", task_id=tasks[0])
    listed = db.rows("select task_id, state from task_list order by 1")
    assert listed == [(tasks[0], "cancelled"), (tasks[1], "pending"), (tasks[2], "pending")]
