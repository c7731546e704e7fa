"""Claimed steps for tests of what a runner does with them."""

from __future__ import annotations

from typing import Any

from pgtasker.rows import ClaimedStep


def claim(step_name: str = "work", *, claim_id: int = 99, **changes: Any) -> ClaimedStep:
    """A claim as `advance` would give it, but for the changes."""
    given: dict[str, Any] = {
        "workflow_step_id": claim_id * 10,
        "claim_id": claim_id,
        "task_id": 1,
        "namespace": "default",
        "workflow_name": "flow",
        "version": "0.1.0",
        "step_name": step_name,
        "handler": None,
        "attempt": 1,
        "retry_limit": 3,
        "context": {},
        "inputs": {},
        "dependency_results": {},
        "timeout": None,
        "tags": [],
        "priority": 0,
    }
    return ClaimedStep(**{**given, **changes})
