"""A call of every public function that succeeds, in a database where each has something to act on.

Responsible for a little world and for the arguments; what is made of them is left to the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..support.session import Session

Arguments = dict[str, Any]


@dataclass(frozen=True)
class World:
    """What the calls act on."""

    runner: int
    spare: int
    held: dict[str, int]
    fresh: int
    paused: int
    broken: int
    broken_step: int
    skippable: int


def populate(db: Session) -> World:
    """A task in each state that some function asks for."""
    runner = db.register("default", "other")
    spare = db.register("default", name="spare")
    db.define("a->b", steps={"a": {"retry_limit": 2, "timeout": 60}, "b": {"skippable": True}})
    broken = db.start()
    [claimed] = db.claim(1, runner)
    db.fail(claimed, retryable=False)
    paused = db.start()
    db.call("pause_task", task_id=paused)
    db.start(idempotency_key="one")
    [claimed] = db.claim(1, runner)
    fresh = db.start()
    db.call("pause_queue", queue="other")
    held = {"workflow_step_id": claimed.workflow_step_id, "claim_id": claimed.claim_id}
    return World(
        runner=runner,
        spare=spare,
        held=held,
        fresh=fresh,
        paused=paused,
        broken=broken,
        broken_step=db.step_id(broken, "a"),
        skippable=db.step_id(fresh, "b"),
    )


def arguments(world: World) -> dict[str, Arguments]:
    """Arguments of every public function, as Python has them: a dict is jsonb."""
    signed = {"reason": "why", "actor": "who"}
    about = {
        "namespace": "default",
        "version": "0.1.0",
        "priority": 3,
        "run_at": "2031-01-01 00:00:00+00",
        "initiator": "who",
        "source_system": "where",
        "reason": "why",
        "tags": ["red", "blue"],
    }
    outcomes = [
        {**world.held, "outcome": "fail", "error": {"message": "boom"}, "retryable": False},
    ]
    since = {"since": "2029-12-31 00:00:00+00", "namespace": "default", "name": "flow"}
    return {
        "clock": {},
        "get_setting": {"name": "lease"},
        "set_setting": {"name": "redact_keys", "value": "secret"},
        "wake_up_channel": {"runner_id": world.runner},
        "register_workflow": {"definition": definition(), "replace": True},
        "create_task": {
            "name": "flow",
            "context": {"order": "seven"},
            "idempotency_key": "two",
            "bypass_steps": ["b"],
            **about,
        },
        "create_tasks": {
            "name": "flow",
            "contexts": [{"order": "seven"}, {"order": "eight"}],
            "idempotency_keys": ["two", "three"],
            **about,
        },
        "cancel_task": {"task_id": world.fresh, **signed},
        "pause_task": {"task_id": world.fresh, **signed},
        "resume_task": {"task_id": world.paused, **signed},
        "retry_task": {"task_id": world.broken, **signed},
        "resolve_task": {"task_id": world.broken, **signed},
        "retry_step": {"workflow_step_id": world.broken_step, **signed},
        "resolve_step": {
            "workflow_step_id": world.broken_step,
            "results": {"by": "hand"},
            **signed,
        },
        "skip_step": {"workflow_step_id": world.skippable, **signed},
        "pause_queue": {"queue": "default", **signed},
        "resume_queue": {"queue": "other", **signed},
        "register_runner": {
            "name": "another",
            "queues": ["default", "more"],
            "metadata": {"hostname": "here"},
        },
        "heartbeat": {"runner_id": world.runner, "held": [world.held["claim_id"]]},
        "deregister_runner": {"runner_id": world.spare},
        "extend_step": {**world.held, "timeout": "1 hour", "progress": {"at": "half"}},
        "claim_steps": {"runner_id": world.runner, "max_steps": 10},
        "complete_step": {**world.held, "results": {"parcel": "seven"}},
        "fail_step": {
            **world.held,
            "error": {"type": "Broken", "message": "boom"},
            "retryable": True,
            "retry_after": "5 s",
        },
        "release_step": {**world.held, "delay": "5 s"},
        "advance": {"runner_id": world.runner, "outcomes": outcomes, "max_steps": 10},
        "advance_json": {"runner_id": world.runner, "outcomes": outcomes, "max_steps": 10},
        "maintain": {},
        "purge_tasks": {"older_than": "30 days", "max_tasks": 10},
        "watch_task": {"task_id": world.fresh, "channel": "told", "patience": "1 minute"},
        "get_task": {"task_id": world.fresh},
        "get_task_steps": {"task_id": world.fresh},
        "get_task_history": {"task_id": world.broken},
        "get_step_readiness_status": {"task_id": world.fresh, "step_ids": [world.skippable]},
        "get_step_readiness_status_batch": {"task_ids": [world.fresh, world.broken]},
        "get_task_execution_context": {"task_id": world.fresh},
        "get_task_execution_context_batch": {"task_ids": [world.fresh, world.broken]},
        "calculate_dependency_levels": {"task_id": world.fresh},
        "get_step_transitive_dependencies": {"workflow_step_id": world.skippable},
        "get_critical_path": {"task_id": world.fresh},
        "get_analytics_metrics": {"since": since["since"]},
        "get_step_statistics": since,
        "get_task_statistics": since,
        "get_slowest_steps": {**since, "max_rows": 5},
        "get_slowest_tasks": {**since, "max_rows": 5},
        "get_system_health_counts": {},
        "list_runners": {},
        "list_queues": {},
        "explain_step": {"workflow_step_id": world.skippable},
        "check_consistency": {},
    }


def definition() -> dict[str, Any]:
    """A workflow with every field that takes text."""
    return {
        "namespace": "shop",
        "name": "fulfil",
        "version": "1.0.0",
        "description": "of an order",
        "context_schema": {
            "type": "object",
            "required": ["order"],
            "properties": {"order": {"type": "string", "pattern": "^[a-z]+$", "enum": ["seven"]}},
        },
        "steps": [
            {"name": "validate", "description": "first"},
            {
                "name": "charge",
                "depends_on": ["validate"],
                "handler": "payments.charge",
                "queue": "payments",
                "inputs": {"currency": "EUR"},
            },
        ],
    }
