"""What can be said of a row without asking the database again, held against what the views say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pgtasker import Client
from pgtasker.rows import StepReadinessStatus

from ..support.databases import Database
from ..support.session import Session
from .mixed_work import mixed_work

pytestmark = pytest.mark.newest_only

# What a row of a step says, and what a summary of its task, which knows the task too, may say.
REASONS = {
    "dependencies_not_satisfied": {"dependencies_not_satisfied"},
    "retry_not_eligible": {"retry_not_eligible"},
    "backoff": {"backoff", "paused"},
    "scheduled": {"scheduled", "paused"},
    "task_on_hold": {"scheduled", "paused"},
}


@pytest.fixture
def client(database: Database) -> Iterator[Client]:
    """A client; `in_time` brings it into the time of the test."""
    with Client(database.session_dsn("client"), schema=database.schema) as client:
        in_time(client, database)
        yield client


def in_time(client: Client, database: Database) -> None:
    with client._connected() as connection:
        connection.execute("select set_config('pgtasker.clock', %s, false)", [database.clock])


def step_of(client: Client, task_id: int, name: str) -> StepReadinessStatus:
    [step] = client.step_readiness.for_task(task_id).where(name=name).all()
    return step


def test_a_step_says_what_its_task_says(client: Client, database: Database, db: Session):
    """In every state: a blocked step has the reason that the summary of its task gives."""
    mixed_work(db)
    in_time(client, database)
    steps = {step.workflow_step_id: step for step in client.step_readiness}
    seen = set()
    for task in client.workflow_summaries:
        said = task.step_analysis()["blocking_reasons"]
        assert list(said.values()) == task.blocking_reasons
        for step in (step for step in steps.values() if step.task_id == task.task_id):
            reason = step.blocking_reason
            assert step.ready_to_execute == (step.workflow_step_id in task.ready_step_ids)
            assert (reason is None) == step.ready_to_execute
            if step.workflow_step_id in said:
                assert said[step.workflow_step_id] in REASONS[str(reason)], reason
            else:
                assert reason in (None, "in_process", "processed")
            seen.add(reason)
    assert seen == {None, "in_process", "processed", *REASONS}


def test_a_property_is_what_the_query_of_its_name_asks_for(
    client: Client, database: Database, db: Session
):
    """On tasks and steps in every state."""
    mixed_work(db)
    in_time(client, database)
    contexts, summaries, steps = (
        client.execution_contexts,
        client.workflow_summaries,
        client.step_readiness,
    )

    def agree(query: Any, narrowed: Any, key: str, says: Any) -> None:
        expected = sorted(getattr(row, key) for row in query if says(row))
        assert sorted(getattr(row, key) for row in narrowed) == expected != []

    agree(contexts, contexts.needs_attention(), "task_id", lambda t: t.needs_attention)
    agree(contexts, contexts.near_completion(), "task_id", lambda t: t.near_completion())
    agree(contexts, contexts.near_completion(60), "task_id", lambda t: t.near_completion(60))
    agree(contexts, contexts.blocked(), "task_id", lambda t: t.is_blocked)
    agree(contexts, contexts.has_ready_steps(), "task_id", lambda t: t.has_ready_work)
    agree(contexts, contexts.active(), "task_id", lambda t: not t.is_complete)
    agree(summaries, summaries.efficient(), "task_id", lambda t: t.efficient)
    agree(summaries, summaries.complex_workflows(), "task_id", lambda t: t.is_complex_workflow)
    agree(
        summaries,
        summaries.has_parallelism_potential(),
        "task_id",
        lambda t: t.has_parallelism_potential,
    )
    key = "workflow_step_id"
    agree(steps, steps.exhausted(), key, lambda s: s.retry_status == "exhausted")
    agree(steps, steps.in_backoff(), key, lambda s: s.retry_status == "in_backoff")
    agree(steps, steps.failed().ready_for_execution(), key, lambda s: s.can_retry_now)
    work = contexts.where(execution_status=["has_ready_steps", "processing"])
    agree(contexts, work, "task_id", lambda t: t.has_work_to_do)


def test_a_backoff_is_over_when_the_step_says(client: Client, database: Database, db: Session):
    """After `time_until_ready` it is ready, and not a moment before."""
    task = db.run_with("a->b", a={"retry_limit": 3})
    db.fail(db.claim_only("a"), retry_after=timedelta(seconds=8))
    now = db.call("clock")
    step = step_of(client, task, "a")
    assert (step.retry_status, step.attempts_left, step.can_retry_now) == ("in_backoff", 2, False)
    assert step.effective_backoff_seconds == step.backoff_request_seconds == 8
    assert step.time_until_ready(now) == timedelta(seconds=8)
    assert step.time_until_ready(now + timedelta(seconds=3)) == timedelta(seconds=5)
    assert step.time_until_ready(now + timedelta(hours=1)) == timedelta(0)
    for seconds, is_ready in ((7.999, False), (0.001, True)):
        db.move_clock(seconds)
        in_time(client, database)
        step = step_of(client, task, "a")
        assert (step.ready_to_execute, step.can_retry_now) == (is_ready, is_ready)
    assert (step.retry_status, step.time_until_ready(db.call("clock"))) == ("due", timedelta(0))


def test_what_time_does_not_bring_has_no_time(client: Client, db: Session):
    """A parent, a failure for good, a pause: nobody knows when."""
    task = db.run_with("a->b c", a={"priority": 1})
    now = db.call("clock")
    db.fail(db.claim(1)[0], retryable=False)
    assert step_of(client, task, "a").time_until_ready(now) is None
    assert step_of(client, task, "a").effective_backoff_seconds is None
    assert step_of(client, task, "b").time_until_ready(now) is None
    db.call("pause_task", task_id=task)
    step = step_of(client, task, "c")
    assert (step.blocking_reason, step.time_until_ready(now)) == ("task_on_hold", None)
    assert step.retry_status == "first_attempt"


def test_a_step_counts_its_parents_and_attempts(client: Client, db: Session):
    """Those that are done, of all; what is left of the limit."""
    task = db.run_with("a->d b->d c->d")
    seen = [step_of(client, task, "d").dependency_status]
    for _ in range(3):
        db.complete(db.claim(1)[0])
        seen.append(step_of(client, task, "d").dependency_status)
    assert seen == ["0/3", "1/3", "2/3", "3/3"]
    db.claim_only("d")
    step = step_of(client, task, "d")
    assert (step.retry_status, step.attempts_left, step.blocking_reason) == (
        "attempted", 2, "in_process"
    )  # fmt: skip
    assert replace(step, attempts=9).attempts_left == 0


def test_a_context_sums_up_a_task(client: Client, db: Session):
    """In words and numbers for a person, or for JSON."""
    task = db.run_with("a->b a->c a->d")
    db.finish_step("a")
    db.claim(1)
    context = client.get_task_execution_context(task)
    assert context.progress_details() == {
        "total_steps": 4,
        "completed_steps": 1,
        "remaining_steps": 3,
        "completion_percentage": 25,
    }
    assert context.workflow_summary() == {
        "task_id": task,
        "status": "in_progress",
        "execution_status": "has_ready_steps",
        "health_status": "healthy",
        "waiting_reason": "runner",
        **context.progress_details(),
        "pending_steps": 2,
        "in_progress_steps": 1,
        "failed_steps": 0,
        "ready_steps": 2,
    }


def test_a_summary_describes_a_task(client: Client, db: Session):
    """Its health, its steps and how many could run at once; it prescribes nothing."""
    task = db.run_with("a->b a->c a->d d->e", b={"priority": 1})
    db.finish_step("a")
    db.fail(db.claim(1)[0], retryable=False)
    [summary] = client.workflow_summaries.all()
    ids = {step.name: step.workflow_step_id for step in client.get_task_steps(task)}
    assert summary.workflow_health_summary() == {
        "health_status": "recovering",
        "workflow_efficiency": "recovering",
        "needs_attention": False,
        "failed_steps": 1,
        "blocked_steps": 2,
        "blocking_reasons": {"retry_not_eligible": 1, "dependencies_not_satisfied": 1},
        "completion_percentage": 20,
    }
    assert summary.step_analysis() == {
        "total_steps": 5,
        "root_step_ids": [ids["a"]],
        "ready_step_ids": [ids["c"], ids["d"]],
        "blocked_step_ids": [ids["b"], ids["e"]],
        "blocking_reasons": {
            ids["b"]: "retry_not_eligible",
            ids["e"]: "dependencies_not_satisfied",
        },
    }
    assert summary.parallelism_analysis() == {
        "parallelism_potential": "moderate_parallelism",
        "ready_steps": 2,
        "in_progress_steps": 0,
        "parallel_branches": 3,
        "max_dependency_depth": 2,
        "root_steps": 1,
        "is_complex_workflow": False,
    }
