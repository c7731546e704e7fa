"""The rules of tasks, steps, runners and queues as a small model: what the engine should do.

Nothing here knows SQL. Every operation takes place at `now`, changes the model, and raises
`RefusedError` with the SQLSTATE that the engine must give. Ids of tasks, steps and claims come from
the engine; everything else (states, attempts, due times, order) is decided here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

LEASE = timedelta(seconds=15)
MARGIN = timedelta(seconds=2)
FINAL_STEP = {"complete", "resolved_manually", "skipped", "cancelled"}
SATISFYING = {"complete", "resolved_manually", "skipped"}
FINAL_TASK = {"complete", "resolved_manually", "cancelled"}

LOST = "TK001"
OTHER_CONTENT = "TK002"
DEAD_RUNNER = "TK004"
WRONG_STATE = "55000"

STEP_EDGES = {
    "pending": {"in_progress", "error", "cancelled", "skipped", "resolved_manually"},
    "in_progress": {"complete", "error", "cancelled", "resolved_manually", "pending"},
    "error": {"pending", "cancelled", "resolved_manually"},
}


class RefusedError(Exception):
    """The engine must refuse this, with this SQLSTATE."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


def require(allowed: bool, sqlstate: str = WRONG_STATE) -> None:
    if not allowed:
        raise RefusedError(sqlstate)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@dataclass
class StepSpec:
    """One step of a workflow, as it is declared."""

    name: str
    parents: tuple[str, ...]
    retry_limit: int = 3
    retryable: bool = True
    skippable: bool = False
    priority: int = 0
    queue: str = "default"
    timeout: float | None = None
    base: float = 1.0
    jitter: bool = False

    def document(self) -> dict[str, object]:
        """The step in the JSON of `register_workflow`."""
        return {
            "name": self.name,
            "depends_on": list(self.parents),
            "retry_limit": self.retry_limit,
            "retryable": self.retryable,
            "skippable": self.skippable,
            "priority": self.priority,
            "queue": self.queue,
            **({} if self.timeout is None else {"timeout": self.timeout}),
            "backoff": {"base": self.base, "factor": 2, "max": 10, "jitter": self.jitter},
        }

    def backoff(self, failures: int) -> tuple[timedelta, timedelta]:
        """The bounds of the pause after the n-th failure."""
        upper = min(10.0, self.base * 2**failures)
        lower = min(10.0, self.base * 2 ** (failures - 1)) if self.jitter else upper
        return seconds(lower), seconds(upper)


@dataclass(eq=False, repr=False)
class Step:
    """A step of a task; `place` orders what waits in the queue, `claim` is held by `runner`."""

    step_id: int
    spec: StepSpec
    task: Task
    state: str = "pending"
    attempts: int = 0
    due_at: datetime | None = None
    due_within: tuple[datetime, datetime] | None = None
    queued: bool = False
    queued_until: datetime | None = None
    place: int = 0
    results: object = None
    claim: int | None = None
    runner: Runner | None = None
    ends_at: datetime | None = None

    def __repr__(self) -> str:
        kind = f"{self.spec.queue} {self.priority} {self.place}"
        return f"<{self.spec.name} of task {self.task.task_id}: {self.state}, {kind}>"

    @property
    def parents(self) -> list[Step]:
        return [self.task.steps[name] for name in self.spec.parents]

    @property
    def satisfied(self) -> bool:
        return all(parent.state in SATISFYING for parent in self.parents)

    @property
    def alive(self) -> bool:
        """It runs, could run, or will be retried by itself."""
        return (
            self.state == "in_progress"
            or (self.state == "pending" and self.satisfied)
            or (self.state == "error" and self.due_at is not None)
        )

    @property
    def failed(self) -> bool:
        return self.state == "cancelled" or (self.state == "error" and self.due_at is None)

    @property
    def priority(self) -> int:
        return self.spec.priority if self.task.priority is None else self.task.priority

    @property
    def dependency_results(self) -> dict[str, object]:
        return {parent.spec.name: parent.results for parent in self.parents}

    @property
    def last_attempt(self) -> bool:
        return not self.spec.retryable or self.attempts >= self.spec.retry_limit


@dataclass(eq=False)
class Task:
    """A run of a workflow; it copied the steps."""

    task_id: int
    workflow: str
    context: int
    run_at: datetime | None
    priority: int | None
    steps: dict[str, Step] = field(default_factory=dict)
    state: str = "pending"
    paused: bool = False

    @property
    def complete(self) -> bool:
        return self.state in FINAL_TASK


@dataclass(eq=False)
class Runner:
    """A process with a lease."""

    runner_id: int
    queues: frozenset[str]
    lease_expires_at: datetime
    ended: bool = False


class Model:
    """Everything that the engine is expected to know."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.workflows: dict[str, tuple[StepSpec, ...]] = {}
        self.tasks: dict[int, Task] = {}
        self.steps: dict[int, Step] = {}
        self.keys: dict[tuple[str, str], Task] = {}
        self.runners: dict[int, Runner] = {}
        self.paused_queues: set[str] = set()
        self._arrivals = 0

    # -- what the rules say about one step -------------------------------------------------------

    def _enter(self, step: Step, state: str, due_at: datetime | None = None) -> None:
        step.state, step.due_at, step.due_within = state, due_at, None
        step.queued, step.queued_until = False, None
        if state != "in_progress":
            step.claim = step.runner = step.ends_at = None

    def _enqueue(self, steps: Iterable[Step], *, together: bool = False) -> None:
        """Those that can run, now or at a known time; `together`: in no particular order."""
        for step in sorted(steps, key=lambda step: step.step_id):
            if step.task.paused or step.task.complete or step.state == "in_progress":
                continue
            if not step.alive:
                continue
            times = [time for time in (step.due_at, step.task.run_at) if time is not None]
            until = max(times, default=None)
            if step.state != "error" and until is not None and until <= self.now:
                until = None
            if not together:
                self._arrivals += 1
            step.queued, step.queued_until, step.place = True, until, self._arrivals

    def _follow(self, moved: list[Step], claims: bool = False) -> list[Step]:
        """Queue, children and task follow steps that just changed. Gives the children that are
        free now; with `claims`, they enter the queue behind what came back, if at all."""
        freed = [
            child
            for step in moved
            if step.state in SATISFYING
            for child in step.task.steps.values()
            if step in child.parents and child.state == "pending" and child.satisfied
        ]
        back = [step for step in moved if step.state in ("pending", "error")]
        for steps in [back, freed] if claims else [[*freed, *back]]:
            self._enqueue({step.step_id: step for step in steps}.values())
        for task in {step.task.task_id: step.task for step in moved}.values():
            self._settle(task)
        return freed

    def _settle(self, task: Task) -> None:
        """The outcome: complete, error, or back to work."""
        if task.complete:
            return
        steps = task.steps.values()
        if all(step.state in FINAL_STEP for step in steps):
            task.state, task.paused = "complete", False
        elif not any(step.alive for step in steps):
            task.state = "error"
        elif task.state == "error":
            task.state = "pending"
        if task.state == "pending" and any(step.state == "in_progress" for step in steps):
            task.state = "in_progress"

    # -- define and start ------------------------------------------------------------------------

    def register_workflow(self, name: str, steps: tuple[StepSpec, ...]) -> None:
        self.workflows[name] = steps

    def existing(self, workflow: str, key: str | None, context: int) -> Task | None:
        """The task that has this key; other content is refused."""
        task = self.keys.get((workflow, key)) if key is not None else None
        require(task is None or task.context == context, OTHER_CONTENT)
        return task

    def create_task(
        self, task: Task, key: str | None, step_ids: dict[str, int], bypass: set[str]
    ) -> None:
        """A task that is new; its ids are the engine's."""
        specs = {spec.name: spec for spec in self.workflows[task.workflow]}
        task.steps = {name: Step(step_ids[name], spec, task) for name, spec in specs.items()}
        self.tasks[task.task_id] = task
        self.steps.update({step.step_id: step for step in task.steps.values()})
        if key is not None:
            self.keys[task.workflow, key] = task
        self._enqueue(step for step in task.steps.values() if not step.parents)
        skipped = [step for step in task.steps.values() if step.spec.name in bypass]
        for step in skipped:
            self._enter(step, "skipped")
        self._follow(skipped)

    # -- runners ---------------------------------------------------------------------------------

    def register_runner(self, runner_id: int, queues: frozenset[str]) -> None:
        self.runners[runner_id] = Runner(runner_id, queues, self.now + LEASE)

    def is_live(self, runner_id: int) -> bool:
        runner = self.runners[runner_id]
        return not runner.ended and runner.lease_expires_at > self.now

    def live(self, runner_id: int) -> Runner:
        require(self.is_live(runner_id), DEAD_RUNNER)
        return self.runners[runner_id]

    def held_by(self, runner: Runner) -> list[Step]:
        return [step for step in self.steps.values() if step.runner is runner]

    def heartbeat(self, runner_id: int, held: list[int] | None) -> set[int]:
        """Renews the lease; gives the claims that are no longer valid."""
        runner = self.live(runner_id)
        runner.lease_expires_at = self.now + LEASE
        if held is None:
            return set()
        self._give_back([step for step in self.held_by(runner) if step.claim not in held])
        return set(held) - {step.claim for step in self.held_by(runner)}

    def deregister_runner(self, runner_id: int) -> None:
        runner = self.runners[runner_id]
        require(not runner.ended, DEAD_RUNNER)
        runner.ended = True
        self._give_back(self.held_by(runner))

    def _give_back(self, steps: list[Step], *, counts: bool = False) -> None:
        for step in steps:
            failed = counts and step.last_attempt
            step.attempts -= 0 if counts else 1
            self._enter(step, "error" if failed else "pending")
        self._follow(steps)

    # -- outcomes --------------------------------------------------------------------------------

    def check_claim(self, step_id: int, claim: int) -> Step:
        step = self.steps[step_id]
        require(step.claim == claim, LOST)
        return step

    def report(self, outcomes: list[Outcome], claims: bool = False) -> tuple[set[int], list[Step]]:
        """A batch; gives the claims that are lost, and the steps that are free now."""
        kept = [
            outcome for outcome in outcomes if self.steps[outcome.step_id].claim == outcome.claim
        ]
        moved = []
        for outcome in kept:
            step = self.steps[outcome.step_id]
            moved.append(step)
            if outcome.kind == "complete":
                self._enter(step, "complete")
                step.results = outcome.results
            elif outcome.kind == "release":
                step.attempts -= 1
                self._enter(
                    step, "pending", self.now + seconds(outcome.delay) if outcome.delay else None
                )
            else:
                self._fail(step, outcome.retryable, outcome.delay)
        freed = self._follow(moved, claims)
        return {outcome.claim for outcome in outcomes} - {outcome.claim for outcome in kept}, freed

    def _fail(self, step: Step, retryable: bool = True, retry_after: float | None = None) -> None:
        if not retryable or step.last_attempt:
            self._enter(step, "error")
        elif retry_after is not None:
            self._enter(step, "error", self.now + seconds(retry_after))
        else:
            soonest, latest = step.spec.backoff(step.attempts)
            self._enter(step, "error", self.now + latest)
            if soonest < latest:
                step.due_within = (self.now + soonest, self.now + latest)

    def extend(self, step_id: int, claim: int, timeout: float | None) -> None:
        step = self.check_claim(step_id, claim)
        if timeout is not None:
            step.ends_at = self.now + seconds(timeout) + MARGIN

    # -- claims and time -------------------------------------------------------------------------

    def promote(self) -> None:
        """What came due becomes ready; in which order those come that came due together is free."""
        due = [
            step
            for step in self.steps.values()
            if step.queued and step.queued_until is not None and step.queued_until <= self.now
        ]
        self._arrivals += 1
        for step in due:
            if step.state == "error":
                self._enter(step, "pending")
            self._enqueue([step], together=True)

    def claimable(self, runner_id: int) -> list[Step]:
        """What a runner could get now."""
        runner = self.live(runner_id)
        self.promote()
        return [
            step
            for step in self.steps.values()
            if step.queued
            and step.queued_until is None
            and step.spec.queue in runner.queues
            and step.spec.queue not in self.paused_queues
        ]

    def started(self, runner_id: int, step_id: int, claim: int) -> Step:
        """The engine gave this step to the runner."""
        step = self.steps[step_id]
        self._enter(step, "in_progress")
        step.attempts += 1
        step.claim, step.runner = claim, self.runners[runner_id]
        if step.spec.timeout is not None:
            step.due_at = self.now + seconds(step.spec.timeout)
            step.ends_at = step.due_at + MARGIN
        self._settle(step.task)
        return step

    def maintain(self) -> None:
        """Everything at once; the engine works in bounded batches and needs more than one call."""
        self.promote()
        for runner in self.runners.values():
            if not runner.ended and runner.lease_expires_at <= self.now:
                runner.ended = True
                self._give_back(self.held_by(runner), counts=True)
        overdue = [
            step
            for step in self.steps.values()
            if step.ends_at is not None and step.ends_at <= self.now
        ]
        for step in overdue:
            self._fail(step)
        self._follow(overdue)
        self.promote()

    # -- operators -------------------------------------------------------------------------------

    def cancel_task(self, task: Task) -> None:
        require(not task.complete)
        for step in task.steps.values():
            if step.state not in FINAL_STEP:
                self._enter(step, "cancelled")
        task.state, task.paused = "cancelled", False

    def pause_task(self, task: Task) -> None:
        require(not task.complete and not task.paused)
        task.paused = True
        for step in task.steps.values():
            step.queued, step.queued_until = False, None

    def resume_task(self, task: Task) -> None:
        require(task.paused)
        task.paused = False
        self._enqueue(task.steps.values())

    def retry_task(self, task: Task) -> None:
        failed = [
            step for step in task.steps.values() if step.state == "error" and step.due_at is None
        ]
        require(not task.complete and bool(failed))
        # A step that failed before its parents were done cannot be what goes on.
        require(task.state != "error" or any(step.satisfied for step in failed))
        for step in failed:
            step.attempts = 0
            self._enter(step, "pending")
        self._follow(failed)

    def resolve_task(self, task: Task) -> None:
        require(task.state == "error")
        task.state, task.paused = "resolved_manually", False

    def retry_step(self, step: Step) -> None:
        require(step.state == "error" and not step.task.complete)
        step.attempts = 0
        self._enter(step, "pending")
        self._follow([step])

    def resolve_step(self, step: Step, results: object) -> None:
        require(step.state not in FINAL_STEP and not step.task.complete)
        self._enter(step, "resolved_manually")
        step.results = results
        self._follow([step])

    def skip_step(self, step: Step) -> None:
        require(step.state == "pending" and not step.task.complete and step.spec.skippable)
        self._enter(step, "skipped")
        self._follow([step])

    def type_step(self, step: Step, state: str) -> None:
        """A transition typed by hand: legal, and everything follows, or an error."""
        require(state in STEP_EDGES.get(step.state, set()))
        require(state != "skipped" or step.spec.skippable)
        if state == "pending":
            # Released, or a new round: what was attempted is forgiven.
            step.attempts = step.attempts - 1 if step.state == "in_progress" else 0
        self._enter(step, state)
        self._follow([step])

    def set_queue_paused(self, queue: str, paused: bool) -> None:
        require((queue in self.paused_queues) != paused)
        (self.paused_queues.add if paused else self.paused_queues.discard)(queue)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of a batch."""

    step_id: int
    claim: int
    kind: str
    retryable: bool = True
    delay: float | None = None

    @property
    def results(self) -> dict[str, int]:
        """What a completed attempt leaves to the children."""
        return {"claim": self.claim}

    def document(self) -> dict[str, object]:
        """The outcome in the JSON of `advance`."""
        more: dict[str, object] = {"results": self.results} if self.kind == "complete" else {}
        if self.kind == "fail":
            more = {"error": {"message": "model"}, "retryable": self.retryable}
            if self.delay is not None:
                more["retry_after"] = self.delay
        elif self.kind == "release" and self.delay is not None:
            more = {"delay": self.delay}
        return {
            "workflow_step_id": self.step_id,
            "claim_id": self.claim,
            "outcome": self.kind,
            **more,
        }
