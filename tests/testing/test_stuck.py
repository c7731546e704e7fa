"""Tasks that cannot come to their end by themselves: the error says why."""

from __future__ import annotations

import psycopg
import pytest

from pgtasker import Client, ConfigurationError, Workflow
from pgtasker.testing import (
    Clock,
    ConfigurableFailureHandler,
    TaskStuck,
    diamond,
    linear,
    run_all,
    run_task,
    run_workflow,
)

from ..support.databases import Database
from ..support.session import Session

pytestmark = pytest.mark.newest_only


def started(client: Client, workflow: Workflow) -> int:
    """A task of a workflow that is registered."""
    client.register(workflow)
    return client.start(workflow)


def test_a_paused_task_is_not_waited_for(client: Client):
    """The error says that it is paused, and in `run_all` it is passed over."""
    workflow = linear(2)
    task_id = started(client, workflow)
    client.pause_task(task_id)
    with pytest.raises(TaskStuck, match=f"task {task_id} .* step_1: Its task .* is paused"):
        run_task(client, task_id, workflow)
    assert [task.state for task in run_all(client, workflow)] == ["pending"]


def test_a_paused_queue_is_not_waited_for(client: Client):
    """Neither is a retry that is due in it."""
    workflow = linear(1, options={"queue": "mail"}, handler=ConfigurableFailureHandler(9))
    task_id = started(client, workflow)
    client.pause_queue("mail")
    with pytest.raises(TaskStuck, match="step_1: Its queue mail is paused"):
        run_task(client, task_id, workflow)


def test_the_claim_of_another_runner_is_not_waited_for(client: Client, db: Session):
    """Who has the step, and since when, is in the error."""
    workflow = linear(1)
    task_id = started(client, workflow)
    db.set_clock(None)
    db.claim_only("step_1", db.register(name="elsewhere"))
    with pytest.raises(TaskStuck, match=r"step_1: It has run since .* \(elsewhere\)"):
        run_task(client, task_id, workflow)


def test_what_a_dead_runner_held_is_taken_over(client: Client, db: Session):
    """Its lease is over by the clock of the session; the lost attempt counts."""
    workflow = linear(1)
    task_id = started(client, workflow)
    db.set_clock(None)
    db.claim_only("step_1", db.register())
    Clock(client).move(minutes=1)
    assert run_task(client, task_id, workflow).complete
    assert client.get_task_steps(task_id)[0].attempts == 2


def test_a_step_without_a_handler_is_named(client: Client):
    """So is one whose handler asks for a step that the stored graph does not have."""
    task_id = started(client, diamond())
    with pytest.raises(
        TaskStuck, match=r"start: no handler for it .*: give shapes/diamond 0\.1\.0"
    ):
        run_task(client, task_id, linear())
    other = Workflow("diamond", namespace="shapes", version="2.0.0")
    other.step(name="before")(lambda: None)
    other.step(name="start")(lambda before: None)
    with pytest.raises(TaskStuck, match="start: its handler takes 'before', and the task has no"):
        run_task(client, task_id, other)
    assert [step.attempts for step in client.get_task_steps(task_id)] == [0] * 5


def test_a_queue_of_no_workflow_given_is_named(client: Client):
    """The stored workflow has the step in a queue that the code given does not know."""
    task_id = started(client, linear(1, options={"queue": "mail"}))
    with pytest.raises(TaskStuck, match="step_1: No live runner serves its queue mail"):
        run_task(client, task_id, linear(1))


def test_an_unknown_task_is_refused(client: Client):
    """As by every other function."""
    with pytest.raises(psycopg.errors.NoDataFound):
        run_task(client, 404, linear())


def test_workflows_are_needed(client: Client):
    """Without one, nothing could be executed."""
    with pytest.raises(ConfigurationError, match="no workflows"):
        run_task(client, 1)


def test_a_handler_that_aborts_the_transaction_is_named(database: Database):
    """It shares the transaction of the test, and must not leave it unusable."""
    with psycopg.connect(database.dsn) as connection:

        def work() -> None:
            connection.execute("select nonsense")

        with pytest.raises(ConfigurationError, match="'step_1' left the transaction") as raised:
            run_workflow(connection, linear(1, handler=work), schema=database.schema)
        assert isinstance(raised.value.__cause__, psycopg.errors.UndefinedColumn)
        connection.rollback()
