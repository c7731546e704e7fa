"""Tasks driven to their end, one attempt after the other.

Responsible for what is asked of the database and when: register, claim, report, look when something
comes due, move the clock of the session there, and say why if nothing more can happen. It is
written as generators that hand out calls and attempts and get back what came of them, so that one
text serves plain and asynchronous connections; performing them is left to `perform`.

The database decides everything: this is a runner that never waits. For each moment at which it
works it registers anew, so that no lease runs out while the clock is moved.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import psycopg

from pgtasker import surface
from pgtasker.codec import Codec, encoded, readable, registrable
from pgtasker.errors import ConfigurationError, PgtaskerError, RunnerExpired
from pgtasker.rows import Advance, ClaimedStep, Explanation, Json, Task, TaskStep
from pgtasker.runner.handlers import Handlers, missing
from pgtasker.runner.link import is_refusal
from pgtasker.runner.outcomes import COMMITTED, LOST, Outcome
from pgtasker.runner.reports import Reports
from pgtasker.workflow import Workflow, WorkflowStep, identity

__tracebackhide__ = True  # pytest shows what the test and the handler did

T = TypeVar("T")

NAME = "pgtasker.testing"
MOST_TASKS = 10_000  # of a workflow and state, that one look finds
MOST_REASONS = 3  # that an error names
CONSEQUENCES = ("waiting_for_parents", "blocked_by_failure")  # reasons that lie in another step


class TaskStuck(PgtaskerError):  # noqa: N818 - the name is what is the matter
    """A task cannot come to its end by itself, or came to a bad one; the message says why."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A claimed step that is to be executed; its values are stored as the codec makes them."""

    claim: ClaimedStep
    step: WorkflowStep
    codec: Codec | None


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended, and the exception of the handler if it raised one."""

    outcome: Outcome
    error: BaseException | None = None


Script = Generator[surface.Call[Any] | Attempt, Any, T]


class Drive:
    """Drives tasks of these workflows; `errors` keeps the last exception of each step."""

    def __init__(self, workflows: Iterable[Workflow], codec: Codec | None) -> None:
        self.workflows = tuple(workflows)
        self._codec = codec
        if not self.workflows:
            raise ConfigurationError("no workflows: give those whose steps are to be executed")
        self.errors: dict[int, BaseException | None] = {}
        self._attempts = 0
        self._handlers = Handlers(self.workflows)
        steps = (step for workflow in self.workflows for step in workflow.steps.values())
        self._queues = sorted({step.queue for step in steps})

    def workflow(self, workflow: Workflow, context: Json, raise_errors: bool) -> Script[Task]:
        """A new task of a workflow, which is registered first, to its end."""
        yield surface.register_workflow(registrable(self._codec, workflow.definition()))
        given = encoded(self._codec, workflow.check_context(context))
        task_id: int = yield surface.create_task(**identity(workflow), context=given)
        return (yield from self.task(task_id, raise_errors))

    def task(self, task_id: int, raise_errors: bool) -> Script[Task]:
        """One task to its end."""
        yield from self.finished([task_id], raise_errors)
        task: Task = yield surface.get_task(task_id)
        return readable(self._codec, task)

    def finished(self, task_ids: Sequence[int], raise_errors: bool) -> Script[None]:
        """These tasks to their end, all at once."""
        yield from self.tasks(task_ids)
        for task_id in task_ids if raise_errors else ():
            error = yield from self._error_of(task_id)
            if error is not None:
                raise error

    def everything(self) -> Script[list[Task]]:
        """Every open task of the workflows, and those that are started meanwhile, as far as it goes
        by itself."""
        driven: list[int] = []
        while fresh := set((yield from self._open_tasks())).difference(driven):
            driven += sorted(fresh)
            yield from self.tasks(driven, stuck_is_error=False)
        tasks: list[Task] = yield surface.get_tasks(driven)
        return readable(self._codec, tasks)

    def tasks(self, task_ids: Sequence[int], *, stuck_is_error: bool = True) -> Script[None]:
        """These tasks until they are at rest; the clock of the session is put back in the end."""
        clock: str = yield surface.session_clock()
        yield surface.maintain()
        yield from _then(self._drive(task_ids, stuck_is_error), _set_clock(clock))

    def _drive(self, task_ids: Sequence[int], stuck_is_error: bool) -> Script[None]:
        while (yield surface.outlook(task_ids)):
            runners: list[int] = []
            due_at = yield from _then(
                self._work_now(runners, task_ids, stuck_is_error), _deregister(runners)
            )
            if due_at is None:
                return
            if (yield surface.clock()) < due_at:
                yield from move_clock(due_at)

    def _open_tasks(self) -> Script[list[int]]:
        found: list[int] = []
        for namespace, name in {(each.namespace, each.name) for each in self.workflows}:
            for state in ("pending", "in_progress"):
                rows = yield surface.task_list(
                    namespace=namespace, name=name, state=state, tag=None, limit=MOST_TASKS
                )
                found += [row.task_id for row in rows]
        return found

    def _work_now(
        self, runners: list[int], task_ids: Sequence[int], stuck_is_error: bool
    ) -> Script[datetime | None]:
        """Do what is ready; answers when the tasks go on, None if they are at rest or stuck.

        Steps of other tasks that were claimed on the way are not executed: they go back when the
        runner ends, and that uses up no attempt.
        """
        runners.append((yield self._register()))
        unknown: dict[int, str] = {}
        attempts = None
        while True:
            unknown |= yield from self._execute_ready(runners, task_ids)
            outlook: dict[int, datetime | None] = yield surface.outlook(task_ids)
            due = [due_at for due_at in outlook.values() if due_at is not None]
            if due or not outlook:
                return min(due, default=None)
            if attempts == self._attempts:
                break
            attempts = self._attempts  # what came due since the last claim is found by the next
        if stuck_is_error:
            raise TaskStuck((yield from _why_stuck(min(outlook), unknown)))
        return None

    def _register(self) -> surface.Call[int]:
        return surface.register_runner(NAME, self._queues, {})

    def _execute_ready(self, runners: list[int], task_ids: Sequence[int]) -> Script[dict[int, str]]:
        """Execute what is ready; answers why not, for steps that cannot be executed."""
        unknown: dict[int, str] = {}
        reports = Reports()
        while True:
            batch = reports.batch()
            try:
                answer: Advance = yield surface.advance(runners[-1], list(batch.values()), 1)
            except RunnerExpired:  # the handler took longer than a lease; its claim is still held
                runners.append((yield self._register()))
                continue
            except psycopg.Error as error:
                if not batch or not is_refusal(error):
                    raise
                reports.refused(batch, error)
                continue
            reports.taken(batch)
            if not answer.claimed:
                return unknown
            [claim] = answer.claimed
            if claim.task_id not in task_ids:
                if not (yield surface.outlook(task_ids)):
                    return unknown
            elif isinstance(step := self._step_for(claim), str):
                unknown[claim.workflow_step_id] = step
            else:
                self._attempts += 1
                ending: Ending = yield Attempt(claim, step, self._codec)
                self.errors[claim.workflow_step_id] = ending.error
                if ending.outcome not in (COMMITTED, LOST):
                    reports.add(claim, ending.outcome)

    def _step_for(self, claim: ClaimedStep) -> WorkflowStep | str:
        """The step to execute, or why there is none."""
        step = self._handlers.find(claim)
        if step is None:
            workflow = f"{claim.namespace}/{claim.workflow_name} {claim.version}"
            return f"no handler for it is in the workflows given: give {workflow} too"
        if absent := missing(step, claim):
            return f"its handler takes {absent[0]!r}, and the task has no such step before it"
        return step

    def _error_of(self, task_id: int) -> Script[BaseException | None]:
        """What a task in error failed of: the handler's own exception if there was one."""
        task: Task = yield surface.get_task(task_id)
        if task.state != "error":
            return None
        steps: list[TaskStep] = yield surface.get_task_steps(task_id)
        for step in steps:
            error = self.errors.get(step.workflow_step_id)
            if step.state == "error" and step.due_at is None and error is not None:
                return error
        return TaskStuck((yield from _why_stuck(task_id)))


def _then(script: Script[T], cleanup: Script[None]) -> Script[T]:
    """The one script, and whatever came of it the other; the first error counts."""
    try:
        result = yield from script
    except BaseException:
        with suppress(psycopg.Error, PgtaskerError):
            yield from cleanup
        raise
    yield from cleanup
    return result


def _deregister(runners: list[int]) -> Script[None]:
    for runner_id in runners:
        with suppress(RunnerExpired):
            yield surface.deregister_runner(runner_id)


def _set_clock(clock: str) -> Script[None]:
    yield surface.set_session_clock(clock)


def move_clock(moment: datetime) -> Script[None]:
    """Let the session stand at that time; raises ConfigurationError if the install forbids it."""
    yield surface.set_session_clock(moment.isoformat())
    if (yield surface.clock()) != moment:
        raise ConfigurationError(
            "the clock of this install cannot be moved: prepare the database with "
            "pgtasker.testing.install(connection)"
        )


def _why_stuck(task_id: int, unknown: dict[int, str] | None = None) -> Script[str]:
    """What keeps the task from its end, in one line."""
    lead, reasons = f"task {task_id} cannot go on by itself", dict(unknown or {})
    steps: list[TaskStep] = yield surface.get_task_steps(task_id)
    for step in steps:
        explanations: list[Explanation] = yield surface.explain_step(step.workflow_step_id)
        first = explanations[0]
        if first.reason not in ("finished", *CONSEQUENCES):
            reasons.setdefault(step.workflow_step_id, first.explanation.rstrip("."))
    names = {step.workflow_step_id: step.name for step in steps}
    by_reason: dict[str, list[str]] = {}
    for workflow_step_id, reason in reasons.items():
        if workflow_step_id in names:
            by_reason.setdefault(reason, []).append(names[workflow_step_id])
    told = [f"{', '.join(steps)}: {why}" for why, steps in by_reason.items()]
    return f"{lead}: {'; '.join(told[:MOST_REASONS])}"
