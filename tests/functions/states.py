"""Tasks and steps in every state, for the operator verbs to be tried on."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.session import Session

TASK_STATES = (
    "pending", "in_progress", "error", "complete", "cancelled", "resolved_manually"
)  # fmt: skip
STEP_STATES = (
    "pending", "in_progress", "backoff", "error", "complete", "cancelled", "skipped",
    "resolved_manually",
)  # fmt: skip


def task_in(db: Session, state: str) -> int:
    """A task a->b in this state."""
    task = db.run_with("a->b")
    match state:
        case "in_progress":
            db.claim_only("a")
        case "error":
            db.break_step("a")
        case "complete":
            db.settle(task)
        case "cancelled":
            db.call("cancel_task", task_id=task)
        case "resolved_manually":
            db.break_step("a")
            db.call("resolve_task", task_id=task)
    assert db.state_of(task) == state
    return task


def a_task_in_every_state(db: Session) -> list[int]:
    """One of each, in the order of TASK_STATES; the one that leaves a step ready is made last."""
    made = {state: task_in(db, state) for state in reversed(TASK_STATES)}
    return [made[state] for state in TASK_STATES]


def step_in(db: Session, state: str) -> int:
    """The step a, in this state, of a task in which a->b (both skippable) and x can run."""
    task = db.run_with("a->b x", a={"skippable": True, "priority": 1}, b={"skippable": True})
    step = db.step_id(task, "a")
    match state:
        case "in_progress":
            db.claim(1)
        case "backoff":
            db.fail(db.claim(1)[0])
        case "error":
            db.fail(db.claim(1)[0], retryable=False)
        case "complete":
            db.complete(db.claim(1)[0])
        case "cancelled":
            db.call("cancel_task", task_id=task)
        case "skipped":
            db.call("skip_step", workflow_step_id=step)
        case "resolved_manually":
            db.call("resolve_step", workflow_step_id=step)
    assert db.step(task, "a").state == ("error" if state == "backoff" else state)
    return step


def task_of(db: Session, step: int) -> int:
    """The task of a step."""
    return int(db.one("select task_id from workflow_steps where workflow_step_id = %s", step))


def refuses_every_state_but(*allowed: str, of: tuple[str, ...]) -> Any:
    """Parametrises a test by every state in which a verb is refused."""
    assert set(allowed) <= set(of)
    return pytest.mark.parametrize("state", [state for state in of if state not in allowed])


by_someone = pytest.mark.parametrize("by", [{"reason": "because", "actor": "ann"}, {}])


def check_who(db: Session, entry: Any, by: dict[str, str], reason: str | None = None) -> None:
    """The entry of the log says who did it and why; without an actor it is the session's user."""
    user = db.one("select session_user::text")
    assert (entry.actor, entry.reason) == (by.get("actor", user), by.get("reason", reason))


def check_that_ids_are_needed(db: Session, verb: str, parameter: str) -> None:
    """The verb refuses ids that are null or unknown."""
    with db.refused("22004", parameter):
        db.call(verb, **{parameter: None})
    for unknown in (0, -1, 987654321):
        with db.refused("P0002", str(unknown)):
            db.call(verb, **{parameter: unknown})
