"""The operations that can meet on one task, and which of them are raced in which shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..support.graph import workflow
from ..support.session import Session
from .shapes import Shape

Act = Callable[[Session, Shape], Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """`skips`: it takes what is free and leaves the rest to the next call."""

    name: str
    act: Act
    skips: bool = False

    def __call__(self, session: Session, shape: Shape) -> Any:
        return self.act(session, shape)


def claim() -> Operation:
    """A runner takes all that is ready."""
    return Operation(
        "claim",
        lambda session, shape: [
            step.step_name for step in session.claim(100, shape.runners["other"])
        ],
        skips=True,
    )


def report(verb: str, step: str, label: str = "", **more: Any) -> Operation:
    """A runner reports an outcome, or extends."""
    return Operation(
        f"{label or verb}({step})",
        lambda session, shape: session.call(verb, **shape.held(step), **more),
    )


def complete(step: str) -> Operation:
    return report("complete_step", step, "complete", results={"from": step})


def fail(step: str, label: str = "fail", **more: Any) -> Operation:
    return report("fail_step", step, label, error={"message": label}, **more)


def fail_for_good(step: str) -> Operation:
    return fail(step, "fail_for_good", retryable=False)


def release(step: str) -> Operation:
    return report("release_step", step, "release")


def advance(runner: str, **outcomes: str) -> Operation:
    """A runner reports a batch and claims all that is ready."""

    def act(session: Session, shape: Shape) -> Any:
        return session.call(
            "advance",
            runner_id=shape.runners[runner],
            outcomes=session.json(
                [
                    {**shape.held(step), "outcome": outcome}
                    | ({"error": {"message": "advance"}} if outcome == "fail" else {})
                    for step, outcome in outcomes.items()
                ]
            ),
            max_steps=100,
        )

    batch = ", ".join(f"{outcome} {step}" for step, outcome in outcomes.items())
    return Operation(f"advance({batch})", act, skips=True)


def heartbeat(runner: str) -> Operation:
    """A runner says that it holds nothing: what it has goes back."""
    return Operation(
        f"heartbeat({runner})",
        lambda session, shape: session.call("heartbeat", runner_id=shape.runners[runner], held=[]),
        skips=True,
    )


def deregister(runner: str) -> Operation:
    return Operation(
        f"deregister({runner})",
        lambda session, shape: session.call("deregister_runner", runner_id=shape.runners[runner]),
    )


def maintain() -> Operation:
    """Time passed: a lease, a timeout, a retry."""
    return Operation("maintain", lambda session, shape: session.call("maintain"), skips=True)


def task(verb: str) -> Operation:
    """An operator's verb on the whole task."""
    return Operation(verb, lambda session, shape: session.call(verb, task_id=shape.task))


def step(verb: str, name: str) -> Operation:
    """An operator's verb on one step."""
    return Operation(
        f"{verb}({name})",
        lambda session, shape: session.call(verb, workflow_step_id=shape.steps[name]),
    )


def typed(name: str, to_state: str) -> Operation:
    """A transition of a step typed by hand."""
    return Operation(
        f"typed({name} {to_state})",
        lambda session, shape: session.run(
            "insert into workflow_step_transitions (workflow_step_id, to_state) values (%s, %s)",
            shape.steps[name],
            to_state,
        ),
    )


def typed_task(to_state: str) -> Operation:
    """A transition of the task typed by hand."""
    return Operation(
        f"typed(task {to_state})",
        lambda session, shape: session.run(
            "insert into task_transitions (task_id, to_state) values (%s, %s)", shape.task, to_state
        ),
    )


def queue(verb: str, name: str) -> Operation:
    return Operation(f"{verb}({name})", lambda session, shape: session.call(verb, queue=name))


def create(key: str | None, context: Any = None) -> Operation:
    """Another task of the workflow is started."""
    return Operation(
        f"create_task({key}{', other' if context else ''})",
        lambda session, shape: session.start(context=context, idempotency_key=key),
    )


def register(edges: str) -> Operation:
    """The workflow is registered anew; the task that runs keeps what it has."""
    return Operation(
        f"register({edges})",
        lambda session, shape: session.call("register_workflow", definition=workflow(edges)),
    )


# What can meet in each shape.

IDLE = [
    claim(),
    maintain(),
    task("cancel_task"),
    task("pause_task"),
    step("resolve_step", "root"),
    queue("pause_queue", "default"),
    queue("resume_queue", "paused"),
    create("key"),
    create("key", {"other": "context"}),
    create(None),
    register("root->child"),
    register("root->other"),
]

BUSY = [
    claim(),
    complete("running"),
    complete("late"),
    complete("lost"),
    fail("running"),
    fail_for_good("running"),
    release("running"),
    advance("alive", running="complete", late="fail"),
    advance("alive", late="release", lost="complete"),
    report("extend_step", "late", timeout="10 s"),
    heartbeat("alive"),
    deregister("alive"),
    deregister("gone"),
    maintain(),
    task("cancel_task"),
    task("pause_task"),
    task("retry_task"),
    step("retry_step", "due"),
    step("retry_step", "broken"),
    step("resolve_step", "running"),
    step("resolve_step", "broken"),
    step("resolve_step", "j1"),
    step("skip_step", "ready"),
    step("skip_step", "j3"),
    typed("ready", "cancelled"),
    typed("running", "cancelled"),
    typed("late", "pending"),
    typed("lost", "resolved_manually"),
    typed_task("cancelled"),
]

PAUSED = [
    claim(),
    complete("running"),
    fail_for_good("running"),
    advance("alive", running="complete", late="fail"),
    maintain(),
    task("cancel_task"),
    task("resume_task"),
    task("retry_task"),
    step("retry_step", "due"),
    step("resolve_step", "ready"),
    step("skip_step", "ready"),
    typed("ready", "cancelled"),
    queue("pause_queue", "free"),
]

FAILED = [
    claim(),
    maintain(),
    task("cancel_task"),
    task("pause_task"),
    task("retry_task"),
    task("resolve_task"),
    step("retry_step", "broken"),
    step("resolve_step", "broken"),
    step("resolve_step", "child"),
    step("skip_step", "child"),
    typed("broken", "cancelled"),
    typed("broken", "resolved_manually"),
    typed("child", "cancelled"),
    typed_task("pending"),
]

TWO_RUNNING = [
    claim(),
    complete("x"),
    complete("y"),
    fail("x"),
    fail_for_good("x"),
    fail_for_good("y"),
    release("y"),
    advance("alive", x="complete", y="complete"),
    advance("alive", x="fail", y="complete"),
    heartbeat("alive"),
    deregister("alive"),
    maintain(),
    task("cancel_task"),
    task("pause_task"),
    step("resolve_step", "x"),
    typed("y", "cancelled"),
]

OPERATIONS = {
    "idle": IDLE,
    "busy": BUSY,
    "paused": PAUSED,
    "failed": FAILED,
    "leaves": TWO_RUNNING,
    "parents": [*TWO_RUNNING, step("resolve_step", "join"), typed("join", "cancelled")],
}
