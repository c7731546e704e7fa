"""A machine that does at random what clients, runners, operators and time do.

Every step is done in the model (`rules`) and in the database; what they answer, refuse and end up
with must be the same, and the engine must find nothing wrong with itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import psycopg
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from psycopg.types.json import Jsonb

from ..support.databases import Database
from . import insights
from .rules import FINAL_STEP, Model, Outcome, RefusedError, Step, StepSpec, Task

NAMES = "abcdef"
QUEUES = ("default", "slow")
NUMBER = st.integers(0, 10_000)  # chooses from whatever there is by then

KINDS = st.lists(st.sampled_from(["complete", "complete", "fail", "hold"]), min_size=1, max_size=3)

SNAPSHOT = """
    select
        step.workflow_step_id, step.state, step.attempts, step.due_at, step.claim_id,
        step.runner_id, task.state as task_state, task.paused,
        waiting.position is not null as queued, waiting.due_at as queued_until,
        claim.timeout_at, coalesce(readiness.ready_for_execution, false) as ready
    from workflow_steps step
    join tasks task on task.task_id = step.task_id
    left join step_queue waiting on waiting.workflow_step_id = step.workflow_step_id
    left join _held_claims claim on claim.workflow_step_id = step.workflow_step_id
    left join active_step_readiness_statuses readiness
        on readiness.workflow_step_id = step.workflow_step_id
    order by step.workflow_step_id
"""

# The rollups and what they do not hold yet, against the log counted anew; no rows: they agree.
RECOUNT = """
    with recount as (
        select
            _bucket_of(found.happened_at, progress.days_until) as bucket_at,
            found.subject, found.named_id, found.fact, _seconds_bin(found.seconds) as bin,
            count(*) as occurrences, round(sum(found.seconds)::numeric, 3) as seconds
        from rollup_progress progress
        cross join lateral _facts(0, 9223372036854775807, '-infinity') found
        group by 1, 2, 3, 4, 5
    ),
    kept as (
        select
            counted.bucket_at, counted.subject, counted.named_id, counted.fact, counted.bin,
            sum(counted.occurrences) as occurrences,
            round(sum(counted.seconds)::numeric, 3) as seconds
        from (
            select rollup.* from rollups rollup where rollup.bucket_at > '-infinity'
            union all
            select
                _bucket_of(found.happened_at, progress.days_until), found.subject,
                found.named_id, found.fact, _seconds_bin(found.seconds), 1, found.seconds
            from rollup_progress progress
            cross join lateral _facts(progress.next_xact_id, 9223372036854775807, '-infinity') found
        ) counted
        group by 1, 2, 3, 4, 5
    ),
    total as (
        select subject, fact, sum(occurrences) as occurrences from recount group by 1, 2
    )
    (table recount except table kept) union all (table kept except table recount)
    union all
    (
        select
            null::timestamptz, total.subject, null::bigint, total.fact, null::smallint,
            total.occurrences, null::numeric
        from total
        except
        select null, known.subject, null, known.fact, null, known.occurrences, null
        from _totals() known
    )
"""


@st.composite
def dags(draw: st.DrawFn) -> tuple[StepSpec, ...]:
    """One to six steps, each after any of those before it."""
    specs = []
    for place in range(draw(st.integers(1, len(NAMES)))):
        parents = draw(st.sets(st.sampled_from(NAMES[:place]), max_size=3)) if place else set()
        specs.append(
            StepSpec(
                name=NAMES[place],
                parents=tuple(sorted(parents)),
                retry_limit=draw(st.sampled_from([3, 1, 2, 0])),
                retryable=draw(st.sampled_from([True, True, True, False])),
                skippable=draw(st.booleans()),
                priority=draw(st.sampled_from([0, 0, 5, -5])),
                queue=draw(st.sampled_from([QUEUES[0], *QUEUES])),
                timeout=draw(st.sampled_from([None, 1.5, 6.0])),
                base=draw(st.sampled_from([1.0, 0.5, 0.0])),
                jitter=draw(st.sampled_from([False, False, True])),
            )
        )
    return tuple(specs)


class EngineMachine(RuleBasedStateMachine):
    """The rules of this machine are the operations of the surface."""

    database: Database  # set by the test, on a subclass

    def __init__(self) -> None:
        super().__init__()
        self.database.reset()
        self.db = self.database.main
        self.db.run("select setseed(0)")  # what is drawn is the same when an example is run again
        self.model = Model(self.db.call("clock"))
        self.claims: list[tuple[int, int]] = []

    # -- how an operation is done ----------------------------------------------------------------

    def agree(self, expected: Callable[[], Any], actual: Callable[[], Any]) -> tuple[Any, Any]:
        """Do it in both; the same refusal, or both answers."""
        try:
            wanted, refusal = expected(), None
        except RefusedError as refused:
            wanted, refusal = None, refused.sqlstate
        try:
            got, said = actual(), None
        except psycopg.Error as error:
            got, said = None, error.sqlstate
            if refusal is None:
                raise
        assert said == refusal, f"refused with {said} where the rules say {refusal}"
        return wanted, got

    def do(self, expected: Callable[..., Any], *arguments: Any, call: str, **named: Any) -> None:
        """The same for a function whose answer does not matter."""
        self.agree(lambda: expected(*arguments), lambda: self.db.call(call, **named))

    def pick(self, number: int, likely: list[Any], known: Iterable[Any]) -> Any:
        """Mostly one of those to which something can happen, sometimes any."""
        choice = list(known) if number % 8 == 7 or not likely else likely
        return choice[number // 8 % len(choice)]

    def a_task(self, number: int) -> Task:
        tasks = self.model.tasks.values()
        return self.pick(number, [task for task in tasks if not task.complete], tasks)

    def a_step(self, number: int) -> Step:
        steps = self.model.steps.values()
        likely = [one for one in steps if one.state not in FINAL_STEP and not one.task.complete]
        return self.pick(number, likely, steps)

    def a_runner(self, number: int) -> int:
        runners = self.model.runners
        return self.pick(number, [one for one in runners if self.model.is_live(one)], runners)

    def a_claim(self, number: int, stale: bool) -> tuple[int, int]:
        """One that is held, or any that ever was."""
        held = [(step.step_id, step.claim) for step in self.model.steps.values() if step.claim]
        known = self.claims if stale or not held else held
        return known[number % len(known)]

    # -- define and start ------------------------------------------------------------------------

    @initialize(one=dags(), two=dags())
    def begin(self, one: tuple[StepSpec, ...], two: tuple[StepSpec, ...]) -> None:
        self.register_workflow("one", one)
        self.register_workflow("two", two)
        self.register_runner()
        for name, key in (("one", "k"), ("two", "l"), ("one", None)):
            self.create_task(name, key, 0, None, None, False, 0)

    def register_workflow(self, name: str, steps: tuple[StepSpec, ...]) -> None:
        """Future tasks have the new content."""
        document = {"name": name, "steps": [spec.document() for spec in steps]}
        self.do(
            self.model.register_workflow, name, steps,
            call="register_workflow", definition=document,
        )  # fmt: skip

    @precondition(lambda self: len(self.model.tasks) < 7)
    @rule(
        name=st.sampled_from(["one", "two"]),
        key=st.sampled_from(["k", "l", None]),
        context=st.sampled_from([1, 0]),
        wait=st.sampled_from([None, None, None, -1.0, 2.0, 5.0]),
        priority=st.sampled_from([None, None, 5, 9]),
        bypassing=st.booleans(),
        number=NUMBER,
    )
    def create_task(
        self,
        name: str,
        key: str | None,
        context: int,
        wait: float | None,
        priority: int | None,
        bypassing: bool,
        number: int,
    ) -> None:
        skippable = [spec.name for spec in self.model.workflows[name] if spec.skippable]
        bypass = [step for place, step in enumerate(skippable) if bypassing and number >> place & 1]
        run_at = None if wait is None else self.model.now + timedelta(seconds=wait)
        found, task_id = self.agree(
            lambda: self.model.existing(name, key, context),
            lambda: self.db.start(
                name,
                {"number": context},
                idempotency_key=key,
                priority=priority,
                run_at=run_at,
                bypass_steps=bypass,
            ),
        )
        if task_id is None:
            return
        if found is not None:
            assert found.task_id == task_id
            return
        assert task_id not in self.model.tasks
        ids = {step.name: step.workflow_step_id for step in self.db.steps(task_id)}
        task = Task(task_id, name, context, run_at, priority)
        self.model.create_task(task, key, ids, set(bypass))

    # -- runners ---------------------------------------------------------------------------------

    def register_runner(self, queues: tuple[str, ...] = QUEUES) -> None:
        self.model.register_runner(self.db.register(*queues), frozenset(queues))

    def _somebody_lives(self) -> None:
        if not any(map(self.model.is_live, self.model.runners)):
            self.register_runner()

    @rule(number=NUMBER, max_steps=st.integers(1, 4))
    def claim_steps(self, number: int, max_steps: int) -> None:
        runner = self.a_runner(number)
        claimable, claimed = self.agree(
            lambda: self.model.claimable(runner), lambda: self.db.claim(max_steps, runner)
        )
        if claimed is not None:
            self._claimed(runner, claimable, [row._asdict() for row in claimed], max_steps)

    def _claimed(
        self,
        runner: int,
        claimable: list[Step],
        claimed: list[dict[str, Any]],
        max_steps: int,
        freed: list[Step] | None = None,
    ) -> None:
        """The right number of the right ones, in the right order, with what belongs to them.

        What its own outcomes freed may go before what waits longer."""
        steps = [self.model.steps[row["workflow_step_id"]] for row in claimed]
        assert len(steps) == min(max_steps, len(claimable)), f"{steps} of {claimable}"
        for place, step in enumerate(steps):
            assert step in claimable, f"{step} is not among {claimable}"
            after = [other for other in claimable if other not in steps[: place + 1]]
            assert all(step.priority >= other.priority for other in after), f"{step} before {after}"
            assert step in (freed or []) or all(
                step.place <= other.place
                for other in after
                if (other.priority, other.spec.queue) == (step.priority, step.spec.queue)
            ), f"{step} before {after}"
        for step, row in zip(steps, claimed, strict=True):
            self.model.started(runner, step.step_id, row["claim_id"])
            assert row["attempt"] == step.attempts
            assert row["priority"] == step.priority
            assert row["retry_limit"] == step.spec.retry_limit
            assert row["timeout"] == step.spec.timeout
            assert row["context"] == {"number": step.task.context}
            assert row["dependency_results"] == step.dependency_results
            assert row["claim_id"] not in [claim for _, claim in self.claims]
            self.claims.append((step.step_id, row["claim_id"]))

    def _work(self, number: int, kinds: list[str]) -> None:
        held = self.model.held_by(self.model.runners[self.a_runner(number)])
        claims = [(step.step_id, step.claim) for step in held if step.claim]
        batch = [Outcome(*claim, kinds[place % len(kinds)]) for place, claim in enumerate(claims)]
        self._advance(number, [one for one in batch if one.kind != "hold"], 3)

    @rule(number=NUMBER, kinds=KINDS)
    def work(self, number: int, kinds: list[str]) -> None:
        """A round of a runner: report some of what it holds, take what there is."""
        self._work(number, kinds)

    @rule(number=NUMBER, kinds=KINDS)
    def work_on(self, number: int, kinds: list[str]) -> None:
        """The same; it is what is done most."""
        self._work(number, kinds)

    @precondition(lambda self: self.claims)
    @rule(
        number=NUMBER,
        stale=st.sampled_from([False, False, False, True]),
        kind=st.sampled_from(["complete", "complete", "fail", "fail", "release"]),
        retryable=st.sampled_from([True, True, False]),
        delay=st.sampled_from([None, None, 3.0, 0.0]),
    )
    def report(
        self, number: int, stale: bool, kind: str, retryable: bool, delay: float | None
    ) -> None:
        """complete_step, fail_step, release_step: one outcome, or TK001."""
        outcome = Outcome(*self.a_claim(number, stale), kind, retryable, delay)
        arguments = outcome.document()
        for name in ("retry_after", "delay"):
            if name in arguments:
                arguments[name] = timedelta(seconds=float(str(arguments[name])))
        del arguments["outcome"]
        self.agree(
            lambda: (
                self.model.check_claim(outcome.step_id, outcome.claim),
                self.model.report([outcome]),
            ),
            lambda: self.db.call(f"{kind}_step", **arguments),
        )

    @rule(
        number=NUMBER,
        picks=st.lists(
            st.tuples(
                NUMBER,
                st.sampled_from([False, False, False, True]),
                st.sampled_from(["complete", "complete", "fail", "release"]),
                st.booleans(),
                st.sampled_from([None, None, 3.0]),
            ),
            max_size=4,
        ),
        max_steps=st.integers(0, 3),
    )
    def advance(self, number: int, picks: list[Any], max_steps: int) -> None:
        outcomes = {}
        for pick, stale, *how in picks if self.claims else ():
            claim = self.a_claim(pick, stale)
            outcomes[claim] = Outcome(*claim, *how)
        self._advance(number, list(outcomes.values()), max_steps)

    def _advance(self, number: int, batch: list[Outcome], max_steps: int) -> None:
        runner = self.a_runner(number)

        def expected() -> tuple[set[int], list[Step], list[Step]]:
            self.model.live(runner)
            if batch and max_steps:
                self.model.promote()  # goes before what the batch is about to free
            lost, freed = self.model.report(batch, claims=max_steps > 0)
            return lost, freed, self.model.claimable(runner) if max_steps else []

        wanted, got = self.agree(
            expected,
            lambda: self.db.call(
                "advance",
                runner_id=runner,
                outcomes=Jsonb([outcome.document() for outcome in batch]),
                max_steps=max_steps,
            ),
        )
        if got is not None:
            lost, freed, claimable = wanted
            assert set(got.lost) == lost
            self._adopt_drawn_delays()
            self._claimed(runner, claimable, got.claimed, max_steps, freed)

    @rule(
        number=NUMBER,
        comparing=st.sampled_from([True, False, False]),
        kept=st.one_of(st.just(-1), st.just(-1), NUMBER),
    )
    def heartbeat(self, number: int, comparing: bool, kept: int) -> None:
        """Some of what it holds is listed, some of what it held once too."""
        runner = self.a_runner(number)
        own = [step.claim for step in self.model.held_by(self.model.runners[runner])]
        known = [claim for _, claim in self.claims[-3:]] + own
        held = sorted({claim for place, claim in enumerate(known) if claim and kept >> place & 1})
        wanted, got = self.agree(
            lambda: self.model.heartbeat(runner, held if comparing else None),
            lambda: self.db.call("heartbeat", runner_id=runner, held=held if comparing else None),
        )
        assert wanted is None or set(got) == wanted

    def deregister_runner(self, number: int) -> None:
        runner = self.a_runner(number)
        self.do(
            self.model.deregister_runner, runner, call="deregister_runner", runner_id=runner
        )  # fmt: skip

    @precondition(lambda self: self.claims)
    @rule(number=NUMBER, stale=st.booleans(), timeout=st.sampled_from([None, 1.0, 10.0]))
    def extend_step(self, number: int, stale: bool, timeout: float | None) -> None:
        step, claim = self.a_claim(number, stale)
        self.do(
            self.model.extend, step, claim, timeout,
            call="extend_step", workflow_step_id=step, claim_id=claim,
            timeout=None if timeout is None else timedelta(seconds=timeout),
        )  # fmt: skip

    # -- time ------------------------------------------------------------------------------------

    @rule(
        moved=st.sampled_from([0.5, 1.0, 1.0, 2.0, 4.0, 9.0, 16.0, 16.0, 16.0]),
        silent=st.sampled_from([0, 0, 1, 2, 3]),
        maintained=st.booleans(),
    )
    def time_passes(self, moved: float, silent: int, maintained: bool) -> None:
        """Some of the runners, or all, give no sign of life meanwhile."""
        while moved > 0:
            passed = min(moved, 8.0)
            moved -= passed
            self.model.now += timedelta(seconds=passed)
            self.database.set_clock(self.model.now.isoformat())
            for runner in self.model.runners:
                quiet = silent == 3 or (silent and runner % 3 == silent)
                if self.model.is_live(runner) and not quiet:
                    self.model.heartbeat(runner, None)
                    self.db.call("heartbeat", runner_id=runner)
        if maintained:
            self._maintain()
        self._somebody_lives()

    def _maintain(self) -> None:
        """Called until it has nothing more to do: it works in bounded batches."""
        self.model.maintain()
        for _ in range(3):
            assert self.db.call("maintain") > self.model.now

    # -- operators -------------------------------------------------------------------------------

    @rule(
        number=NUMBER,
        verb=st.sampled_from(
            [
                "cancel_task", "pause_task", "pause_task", "resume_task", "resume_task",
                "resume_task", "retry_task", "retry_task", "retry_task", "resolve_task",
            ]
        ),
    )  # fmt: skip
    def operate_on_task(self, number: int, verb: str) -> None:
        task = self.a_task(number)
        self.do(getattr(self.model, verb), task, call=verb, task_id=task.task_id)
        # What was due long ago and is back is seen by the next look, a second later at most.
        self.db.run("update housekeeping set looked_at = '-infinity', search_at = '-infinity'")

    @rule(
        number=NUMBER,
        verb=st.sampled_from(["retry_step", "retry_step", "skip_step", "resolve_step", "type"]),
        results=st.sampled_from([None, {"by": "hand"}]),
        state=st.sampled_from(
            ["pending", "complete", "error", "cancelled", "skipped", "resolved_manually"]
        ),
    )
    def operate_on_step(self, number: int, verb: str, results: Any, state: str) -> None:
        """Also with a row typed into the log: legal, and everything follows, or an error."""
        step = self.a_step(number)
        named = {"workflow_step_id": step.step_id}
        if verb == "type":
            self.agree(
                lambda: self.model.type_step(step, state),
                lambda: self.db.run(
                    "insert into workflow_step_transitions (workflow_step_id, to_state)"
                    " values (%s, %s)",
                    step.step_id,
                    state,
                ),
            )
        elif verb == "resolve_step":
            self.do(self.model.resolve_step, step, results, call=verb, results=results, **named)
        else:
            self.do(getattr(self.model, verb), step, call=verb, **named)

    def pause_or_resume_queue(self, queue: str, paused: bool) -> None:
        verb = "pause_queue" if paused else "resume_queue"
        self.do(self.model.set_queue_paused, queue, paused, call=verb, queue=queue)

    # -- what happens seldom ---------------------------------------------------------------------

    @rule(
        data=st.data(),
        what=st.sampled_from(["workflow", "runner", "end", "end", "pause", "resume", "resume"]),
        number=NUMBER,
    )
    def around(self, data: st.DataObject, what: str, number: int) -> None:
        """Workflows change, runners come and go, queues are paused."""
        match what:
            case "workflow":
                self.register_workflow(("one", "two")[number % 2], data.draw(dags()))
            case "runner":
                if len(self.model.runners) < 8:
                    self.register_runner((QUEUES, QUEUES[:1], QUEUES[1:])[number % 3])
            case "end":
                self.deregister_runner(number)
                self._somebody_lives()
            case _:
                self.pause_or_resume_queue(QUEUES[number % 2], what == "pause")

    # -- what must be true after each of them ------------------------------------------------------

    def _adopt_drawn_delays(self) -> None:
        """Jitter is the engine's to draw, within bounds that are the model's."""
        drawn = [step for step in self.model.steps.values() if step.due_within is not None]
        for step in drawn:
            assert step.due_within is not None
            due_at = self.db.one(
                "select due_at from workflow_steps where workflow_step_id = %s", step.step_id
            )
            soonest, latest = step.due_within
            assert soonest <= due_at <= latest
            step.due_at, step.due_within = due_at, None
            if step.queued:
                run_at = step.task.run_at
                step.queued_until = due_at if run_at is None else max(due_at, run_at)

    @invariant()
    def engine_and_model_agree(self) -> None:
        """On every task and step; and the engine finds nothing wrong with itself."""
        self._adopt_drawn_delays()
        for row in self.db.rows(SNAPSHOT):
            step = self.model.steps[row.workflow_step_id]
            wanted = (
                step.step_id, step.state, step.attempts, step.due_at, step.claim,
                step.runner and step.runner.runner_id, step.task.state, step.task.paused,
                step.queued, step.queued_until, step.ends_at, self._is_ready(step),
            )  # fmt: skip
            differs = {
                field: f"{value} where the rules say {should}"
                for field, value, should in zip(row._fields, row, wanted, strict=True)
                if value != should
            }
            assert not differs, f"{step.spec.name} of task {step.task.task_id}: {differs}"
        assert self.db.call("check_consistency") == []  # the end of the test asks for the rest

    def _is_ready(self, step: Step) -> bool:
        return insights.is_ready(step, self.model.now)

    @invariant()
    def views_show_the_model(self) -> None:
        """Every verdict of every tier, and of the summaries."""
        now, tasks = self.model.now, self.model.tasks
        shown = self._seen("task_execution_contexts", insights.context)
        assert shown.keys() == tasks.keys()
        at_work = {task_id for task_id, task in tasks.items() if not task.complete}
        assert self._seen("active_task_execution_contexts", insights.context).keys() == at_work
        assert self._seen("recent_task_execution_contexts", insights.context) == shown
        assert self._seen("task_workflow_summaries", insights.summary).keys() == at_work
        ready = self.db.column(
            "select workflow_step_id from active_step_readiness_statuses where ready_for_execution"
        )
        steps = self.model.steps.values()
        assert sorted(ready) == sorted(s.step_id for s in steps if insights.is_ready(s, now))

    def _seen(
        self, view: str, derive: Callable[[Task, datetime], dict[str, Any]]
    ) -> dict[int, dict[str, Any]]:
        """The rows of a view by task, each as the model has it."""
        found = {row.task_id: row._asdict() for row in self.db.rows(f"table {view}")}
        for task_id, row in found.items():
            wanted = derive(self.model.tasks[task_id], self.model.now)
            assert {name: row[name] for name in wanted} == wanted
        return found

    @invariant()
    def rollups_agree_with_a_recount(self) -> None:
        """Whenever they were last refreshed."""
        assert self.db.rows(RECOUNT) == []
