"""A runner in another language: examples/runner_in_node, on good days and bad ones."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..conftest import RUN
from ..python.test_runner_process import PATIENCE, until
from ..support.databases import Database
from ..support.session import Session
from .node import Node, installed

pytestmark = pytest.mark.newest_only


@pytest.fixture
def node(database: Database, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    """Runners in Node.js, in real time."""
    packages = installed(request.config.stash[RUN])
    database.set_clock(None)
    node = Node(packages, tmp_path, database.dsn, database.schema)
    yield node
    node.close()


def run(node: Node, db: Session, edges: str, **steps: Any) -> int:
    """A task whose steps wait for handlers in gates.mjs, each named like its step."""
    names = edges.replace("->", " ").split()
    options = {name: {"queue": "node", "handler": name, **steps.get(name, {})} for name in names}
    task_id = db.start(db.define(edges, steps=options), {"directory": str(node.directory)})
    node.start("gates.mjs")
    return task_id


def test_what_is_given_and_answered_is_json(node: Node, db: Session):
    """A handler gets constants and ids of its step; its answer is the result of the task."""
    task_id = run(node, db, "quick", quick={"inputs": {"to": "Jena"}})
    until(lambda: db.state_of(task_id) == "complete")
    result = {"inputs": {"to": "Jena"}, "attempt": 1, "taskId": task_id}
    assert db.task(task_id).results == {"quick": result}


def test_failures_are_told_apart(node: Node, db: Session):
    """What no attempt can change fails for good and says why; the rest keeps its retries."""
    task_id = run(node, db, "refused circular permanent text quick")
    until(lambda: sorted(db.steps_of(task_id).values()) == ["complete", *["error"] * 4])
    errors = {step.name: step.error for step in db.steps(task_id) if step.error}
    assert errors["permanent"]["type"] == "PermanentError"
    assert "permanent" in errors["permanent"]["traceback"]
    assert errors["text"]["message"] == "not even an error"
    assert errors["circular"]["message"].startswith("the result is not JSON")
    assert errors["refused"]["message"].startswith("not stored: ")
    waiting = [step.name for step in db.steps(task_id) if step.due_at is not None]
    assert waiting == ["text"]


def test_an_unknown_step_goes_back_with_a_delay(node: Node, db: Session):
    """No attempt is used up: a newer runner may know the step."""
    task_id = run(node, db, "mystery")
    until(lambda: len(db.history(task_id)) >= 3)
    step = db.step(task_id, "mystery")
    assert (step.state, step.attempts) == ("pending", 0)
    assert step.due_at > db.call("clock")
    assert "no handler here" in node.said()


def test_a_timeout_is_a_failure(node: Node, db: Session):
    """The runner ends the attempt before the database has to, and tells the handler."""
    task_id = run(node, db, "waits", waits={"timeout": 0.2, "retry_limit": 1})
    until(lambda: db.state_of(task_id) == "error")
    assert db.step(task_id, "waits").error["message"] == "no result within 0.2 s"
    until((node.directory / "aborted").exists)


def test_a_lost_connection_costs_nothing(node: Node, db: Session):
    """The runner comes back on a new connection under its id, and reports what it finished."""
    task_id = run(node, db, "waits->quick")
    until((node.directory / "begun").exists)
    [runner] = db.call("list_runners")
    assert db.one("select pg_terminate_backend(lock_pid, 10000) from runners")
    (node.directory / "gate").touch()
    until(lambda: db.state_of(task_id) == "complete")
    assert [step.attempts for step in db.steps(task_id)] == [1, 1]
    assert [each.runner_id for each in db.call("list_runners")] == [runner.runner_id]
    assert "no connection" in node.said()


def test_a_lost_claim_stops_the_handler(node: Node, db: Session):
    """What was resolved by hand meanwhile stays; the handler learns that it no longer counts."""
    db.call("set_setting", name="lease", value="1 s")
    task_id = run(node, db, "waits")
    until((node.directory / "begun").exists)
    db.call(
        "resolve_step", workflow_step_id=db.step_id(task_id, "waits"), results=db.json("by hand")
    )
    until((node.directory / "aborted").exists)
    (node.directory / "gate").touch()
    until(lambda: "claim lost" in node.said())
    assert db.task(task_id).results == {"waits": "by hand"}


def test_an_expired_runner_registers_again(node: Node, db: Session):
    """As after a machine that slept: under a new id it takes up work."""
    task_id = run(node, db, "waits->quick")
    until((node.directory / "begun").exists)
    [runner] = db.call("list_runners")
    db.call("deregister_runner", runner_id=runner.runner_id)
    (node.directory / "gate").touch()
    until(lambda: db.state_of(task_id) == "complete")
    assert db.step(task_id, "quick").runner_id > runner.runner_id


def test_sigterm_lets_handlers_finish(node: Node, db: Session):
    """The runner claims no more, reports what ends, says goodbye, and exits with 0."""
    task_id = run(node, db, "waits->quick")
    until((node.directory / "begun").exists)
    [process] = node.started
    process.send_signal(signal.SIGTERM)
    (node.directory / "gate").touch()
    assert process.wait(PATIENCE) == 0
    assert db.steps_of(task_id) == {"waits": "complete", "quick": "pending"}
    assert [runner.state for runner in db.call("list_runners")] == ["deregistered"]


def test_a_second_sigterm_releases_at_once(node: Node, db: Session):
    """A handler that hangs does not hold up the end, and its attempt does not count."""
    task_id = run(node, db, "waits")
    until((node.directory / "begun").exists)
    [process] = node.started
    process.send_signal(signal.SIGTERM)
    until(lambda: process.poll() is not None or _signal_was_taken(process.pid))
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    step = db.step(task_id, "waits")
    assert (step.state, step.attempts) == ("pending", 0)


def _signal_was_taken(pid: int) -> bool:
    """Two signals of a kind may arrive as one: whether none is waiting any more."""
    status = Path(f"/proc/{pid}/status").read_text()
    return all(
        not int(line.split()[1], 16) & 1 << signal.SIGTERM - 1
        for line in status.splitlines()
        if line.startswith(("SigPnd", "ShdPnd"))
    )


def test_a_missing_install_ends_in_one_line(node: Node):
    """What a person has to put right is said, and not retried for ever."""
    process = node.start("gates.mjs", PGTASKER_SCHEMA="nowhere")
    assert process.wait(PATIENCE) == 1
    assert node.said() == 'schema "nowhere" does not exist\n'
