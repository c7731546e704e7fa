"""What the views must show of the model: every verdict, derived anew from the rules.

`machine` compares after each step; here nothing is asked of the database.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from .rules import Step, Task

SATISFYING = {"complete", "resolved_manually", "skipped"}


def is_ready(step: Step, now: datetime) -> bool:
    """A runner could claim it."""
    task = step.task
    return (
        not task.complete
        and not task.paused
        and (task.run_at is None or task.run_at <= now)
        and step.state in {"pending", "error"}
        and step.alive
        and (step.due_at is None or step.due_at <= now)
    )


def context(task: Task, now: datetime) -> dict[str, Any]:
    """The row of `task_execution_contexts`, without its percentage."""
    steps = list(task.steps.values())
    states = Counter(step.state for step in steps)
    ready = sum(is_ready(step, now) for step in steps)
    unfinished = states["pending"] + states["in_progress"] + states["error"]
    failed = [step for step in steps if step.failed]
    retrying = [
        step
        for step in steps
        if step.state in {"pending", "error"} and step.alive and step.due_at is not None
    ]
    if failed and unfinished and not any(step.alive for step in steps):
        status, action = "blocked_by_failures", "handle_failures"
    elif ready:
        status, action = "has_ready_steps", "execute_ready_steps"
    elif states["in_progress"]:
        status, action = "processing", "wait_for_completion"
    elif not unfinished:
        status, action = "all_complete", "finalize_task"
    else:
        status, action = "waiting_for_dependencies", "wait_for_dependencies"
    if status == "blocked_by_failures":
        health = "blocked"
    elif not failed and not states["error"]:
        health = "healthy"
    elif ready or states["in_progress"] or retrying:
        health = "recovering"
    else:
        health = "unknown"
    return {
        "task_id": task.task_id,
        "status": task.state,
        "total_steps": len(steps),
        "pending_steps": states["pending"],
        "in_progress_steps": states["in_progress"],
        "completed_steps": sum(states[state] for state in SATISFYING),
        "failed_steps": states["error"],
        "ready_steps": ready,
        "execution_status": status,
        "recommended_action": action,
        "health_status": health,
    }


def summary(task: Task, now: datetime) -> dict[str, Any]:
    """What `task_workflow_summaries` adds."""
    seen = context(task, now)
    efficiency = {
        "has_ready_steps": "recovering" if seen["failed_steps"] else "optimal",
        "processing": "processing",
        "blocked_by_failures": "blocked",
    }.get(seen["execution_status"], "waiting")
    ready = seen["ready_steps"]
    potential = (
        "high_parallelism"
        if ready > 5
        else "moderate_parallelism"
        if ready > 1
        else "sequential_only"
        if ready
        else "no_ready_work"
    )
    steps = sorted(task.steps.values(), key=lambda step: step.step_id)
    waiting = [
        step for step in steps if step.state in {"pending", "error"} and not is_ready(step, now)
    ]
    levels = Counter(_level(step) for step in steps)
    return {
        "task_id": task.task_id,
        "workflow_efficiency": efficiency,
        "parallelism_potential": potential,
        "max_dependency_depth": max(levels),
        "parallel_branches": max(levels.values()),
        "root_step_ids": [step.step_id for step in steps if not step.spec.parents],
        "ready_step_ids": [step.step_id for step in steps if is_ready(step, now)],
        "blocked_step_ids": [step.step_id for step in waiting],
        "blocking_reasons": [_reason(step) for step in waiting],
    }


def _level(step: Step) -> int:
    return max((_level(parent) + 1 for parent in step.parents), default=0)


def _reason(step: Step) -> str:
    if not step.satisfied:
        return "dependencies_not_satisfied"
    if step.failed:
        return "retry_not_eligible"
    if step.task.paused:
        return "paused"
    return "backoff" if step.state == "error" else "scheduled"
