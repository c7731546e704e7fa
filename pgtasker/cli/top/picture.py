"""What `top` shows, as figures: the newest reading of the metrics, compared with an earlier one.

Responsible for differences of counters and for what belongs to which queue, workflow and step. What
a metric means is said by the view `monitoring_metrics`; how a figure looks is left to `frame`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pgtasker.openmetrics import Metric

PREFIX = "pgtasker_"

COUNTED_APART = 0.5  # seconds; less is the time that an answer takes

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Reading:
    """The metrics at one moment; `at` in seconds of a clock that never goes back."""

    at: float
    values: Mapping[str, Mapping[Labels, float]]

    @classmethod
    def of(cls, metrics: Iterable[Metric], at: float) -> Reading:
        """Rows of the view as they were read."""
        values: dict[str, dict[Labels, float]] = {}
        for metric in metrics:
            name = metric.name.removeprefix(PREFIX)
            values.setdefault(name, {})[frozenset(metric.labels.items())] = metric.value
        return cls(at, values)

    @property
    def counted_at(self) -> float:
        """When the counters were complete, by the same clock: they are counted now and then."""
        return self.at - self.total("rollup_lag_seconds")

    def by(self, name: str, *labels: str, **wanted: str) -> dict[tuple[str, ...], float]:
        """The sums of a metric, for each combination of these labels."""
        sums: dict[tuple[str, ...], float] = {}
        for series, value in self.values.get(name, {}).items():
            known = dict(series)
            if wanted.items() <= known.items():
                key = tuple(known.get(label, "") for label in labels)
                sums[key] = sums.get(key, 0.0) + value
        return sums

    def total(self, name: str, **wanted: str) -> float:
        """The sum of a metric; 0 if there is none."""
        return self.by(name, **wanted).get((), 0.0)


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue; `oldest_age` in seconds, None if nothing is ready."""

    queue: str
    depth: int
    oldest_age: float | None
    scheduled: int
    in_progress: int
    runners: int
    paused: bool


@dataclass(frozen=True, slots=True)
class Activity:
    """One workflow, or one of its steps: rates per second, means in seconds.

    They are None as long as there is nothing to compare with, and means also where nothing ran.
    """

    workflow: str
    step: str | None
    complete_rate: float | None
    failure_rate: float | None
    failures: int
    run_mean: float | None
    wait_mean: float | None
    created_rate: float | None = None
    finished_rate: float | None = None

    @property
    def name(self) -> str:
        """As `top` calls it."""
        return self.workflow if self.step is None else f"{self.step}  {self.workflow}"


@dataclass(frozen=True, slots=True)
class Overview:
    """The install as a whole; rates per second, times in seconds."""

    pending_tasks: int
    in_progress_tasks: int
    error_tasks: int
    created_rate: float | None
    finished_rate: float | None
    complete_rate: float | None
    failure_rate: float | None
    live_runners: int
    waiting_runners: int
    lost_runners: int
    steps_exhausted: int
    claims_at_risk: int
    claims_stalled: int
    connections: int
    max_connections: int
    oldest_transaction: float
    rollup_lag: float


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that one frame shows; `window` is what rates are over, None without any."""

    window: float | None
    overview: Overview
    queues: list[Queue]
    workflows: list[Activity]
    steps: list[Activity]


def compare(readings: Sequence[Reading], window: float) -> Picture:
    """The picture of the last reading; the earlier ones, oldest first, are what rates are from.

    Rates are over `window` seconds, or longer if the counters were not counted in that time, or
    less if there is nothing as old.
    """
    now = readings[-1]
    before = [each for each in readings if each.counted_at < now.counted_at - COUNTED_APART]
    old = [each for each in before if each.counted_at <= now.counted_at - window]
    change = _Change(now, old[-1] if old else before[0] if before else None)
    return Picture(
        change.seconds,
        _overview(change),
        list(_queues(now)),
        list(_activities(change, ("namespace", "workflow"))),
        list(_activities(change, ("namespace", "workflow", "step"))),
    )


class _Change:
    """What counters did between two readings."""

    def __init__(self, now: Reading, before: Reading | None) -> None:
        self.now = now
        self._before = before
        apart = 0.0 if before is None else now.counted_at - before.counted_at
        self.seconds = apart if apart > 0 else None

    def by(self, name: str, *labels: str, **wanted: str) -> dict[tuple[str, ...], float] | None:
        """The increase for each combination of labels; None if there is nothing to compare with.

        A counter that is smaller than before has lost what was purged: that is no decrease of work.
        """
        if self._before is None or self.seconds is None:
            return None
        earlier = self._before.by(name, *labels, **wanted)
        return {
            key: max(0.0, value - earlier.get(key, 0.0))
            for key, value in self.now.by(name, *labels, **wanted).items()
        }

    def rates(self, name: str, *labels: str, **wanted: str) -> _Rates:
        """The increase per second for each combination of labels."""
        return _Rates(self.by(name, *labels, **wanted), self.seconds)


@dataclass(frozen=True, slots=True)
class _Rates:
    increases: Mapping[tuple[str, ...], float] | None
    seconds: float | None

    def of(self, *key: str) -> float | None:
        if self.increases is None or self.seconds is None:
            return None
        return self.increases.get(key, 0.0) / self.seconds


def _overview(change: _Change) -> Overview:
    now = change.now
    return Overview(
        pending_tasks=int(now.total("tasks", state="pending")),
        in_progress_tasks=int(now.total("tasks", state="in_progress")),
        error_tasks=int(now.total("tasks", state="error")),
        created_rate=change.rates("tasks_created_total").of(),
        finished_rate=change.rates("tasks_finished_total").of(),
        complete_rate=change.rates("attempts_total", outcome="complete").of(),
        failure_rate=change.rates("attempts_total", outcome="error").of(),
        live_runners=int(now.total("runners", state="live")),
        waiting_runners=int(now.total("runners", state="waiting")),
        lost_runners=int(now.total("runners", state="lost")),
        steps_exhausted=int(now.total("steps_exhausted")),
        claims_at_risk=int(now.total("claims_at_risk")),
        claims_stalled=int(now.total("claims_stalled")),
        connections=int(now.total("database_connections")),
        max_connections=int(now.total("database_max_connections")),
        oldest_transaction=now.total("database_oldest_transaction_seconds"),
        rollup_lag=now.total("rollup_lag_seconds"),
    )


def _queues(now: Reading) -> Iterator[Queue]:
    depth = now.by("queue_depth", "queue")
    age = now.by("queue_oldest_age_seconds", "queue")
    scheduled = now.by("queue_scheduled", "queue")
    in_progress = now.by("queue_in_progress", "queue")
    runners = now.by("queue_runners", "queue")
    paused = now.by("queue_paused", "queue")
    for key in sorted({*depth, *scheduled, *in_progress, *runners, *paused}):
        yield Queue(
            queue=key[0],
            depth=int(depth.get(key, 0)),
            oldest_age=age.get(key) if depth.get(key) else None,
            scheduled=int(scheduled.get(key, 0)),
            in_progress=int(in_progress.get(key, 0)),
            runners=int(runners.get(key, 0)),
            paused=bool(paused.get(key, 0)),
        )


def _activities(change: _Change, labels: tuple[str, ...]) -> Iterator[Activity]:
    """The workflows, or their steps, that ever did anything."""
    attempts = change.by("attempts_total", *labels) or {}
    run = change.by("run_seconds_total", *labels) or {}
    wait = change.by("wait_seconds_total", *labels) or {}
    complete = change.rates("attempts_total", *labels, outcome="complete")
    failed = change.rates("attempts_total", *labels, outcome="error")
    failures = change.now.by("attempts_total", *labels, outcome="error")
    known = set(change.now.by("attempts_total", *labels))
    of_tasks = "step" not in labels
    if of_tasks:
        known |= set(change.now.by("tasks_created_total", *labels))
    created = change.rates("tasks_created_total", *labels)
    finished = change.rates("tasks_finished_total", *labels)
    for key in sorted(known):
        ended = attempts.get(key, 0.0)
        yield Activity(
            workflow="/".join(key[:2]),
            step=None if of_tasks else key[2],
            complete_rate=complete.of(*key),
            failure_rate=failed.of(*key),
            failures=int(failures.get(key, 0)),
            run_mean=run.get(key, 0.0) / ended if ended else None,
            wait_mean=wait.get(key, 0.0) / ended if ended else None,
            created_rate=created.of(*key) if of_tasks else None,
            finished_rate=finished.of(*key) if of_tasks else None,
        )
