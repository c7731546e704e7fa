"""Every index earns its place: an operation of the engine or a question of a user reads it."""

from __future__ import annotations

import pytest

from ..support.databases import Database
from ..support.graph import workflow
from ..support.session import Session

pytestmark = pytest.mark.newest_only


def _work(db: Session) -> None:
    """A bit of everything that the engine does."""
    steps = {"a": {"timeout": 60, "retry_limit": 2}, "c": {"skippable": True}}
    for version in ("1.0.0", "1.1.0", "1.1.0"):
        db.call("register_workflow", definition=workflow("a->b a->c", version=version, steps=steps))
        db.call("register_workflow", definition=workflow("a->b->c", version=version, steps=steps))
    for number in range(3):
        db.start(idempotency_key=f"k{number}", bypass_steps=["c"])
        db.start(idempotency_key=f"k{number}", bypass_steps=["c"])
    tasks = db.call("create_tasks", name="flow", contexts=[{}] * 5)
    db.start(run_at=db.one("select clock() + interval '5 s'"))
    db.fail(db.claim(1)[0])
    db.release(db.claim(1)[0], delay="1 s")
    db.wait(10)
    db.call("pause_task", task_id=tasks[0])
    db.call("resume_task", task_id=tasks[0])
    db.call("cancel_task", task_id=tasks[1])
    for task in tasks[2:]:
        db.settle(task, broken=["b"])
        db.call("retry_task", task_id=task)
        db.settle(task)
        db.history(task)
        db.call("get_step_readiness_status", task_id=task)
        db.call("get_task_execution_context", task_id=task)
        for step in db.steps(task):
            db.call("explain_step", workflow_step_id=step.workflow_step_id)
    silent = db.register()
    db.start()
    db.claim(10, silent)
    db.move_clock(60)
    db.call("maintain")
    # What the rollups have not counted is found by its transaction, among many that they have.
    db.call("create_tasks", name="flow", contexts=[{}] * 3000)
    db.move_clock(5)
    db.call("maintain")
    db.run("analyze")
    db.start()
    db.call("get_system_health_counts")
    for query in (
        "table active_task_execution_contexts",
        "table recent_task_execution_contexts",
        "table task_list",
    ):
        db.rows(query)
    db.call("list_queues")
    db.call("list_runners")


def test_every_index_is_used_by_something(own_database: Database):
    """Where a sequential scan is no choice, as in a large table, each index is read by some query.

    Those that keep something unique or serve a foreign key are there for that.
    """
    db = own_database.main
    db.run("set enable_seqscan = off")
    db.assert_consistent()
    _work(db)
    db.assert_consistent()
    db.run("select pg_stat_force_next_flush()")
    unused = db.column(
        """
        select used.indexrelname::text
        from pg_stat_user_indexes used
        join pg_index i on i.indexrelid = used.indexrelid
        where used.schemaname = %s
            and used.idx_scan = 0
            and not i.indisunique
            and not exists (
                select
                from pg_constraint k
                where k.conrelid = i.indrelid
                    and k.contype = 'f'
                    and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey
            )
        """,
        db.database.schema,
    )
    assert unused == []
