"""Tasks of all ages in every state, for queries to tell apart.

Each kind of task has a queue and a runner of its own, so that claims of one leave the others alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from ..support.session import Session

AGES = (timedelta(days=70), timedelta(days=20), timedelta(days=5), timedelta())
CHAIN = "->".join("abcdefgh")


class Kind:
    """One kind of task and the runner that alone works on it."""

    def __init__(self, db: Session, name: str, edges: str, **options: Any) -> None:
        self.db = db
        steps = {step for chain in edges.split() for step in chain.split("->")}
        fields = {step: {"queue": name, "skippable": True, **options} for step in steps}
        db.define(edges, name=name, steps=fields)
        self.name = name
        self.runner = db.register(name, name=name)

    def start(self, **more: Any) -> int:
        """A task of this kind."""
        return self.db.start(self.name, **more)

    def claim(self, steps: int = 1) -> list[Any]:
        """So many of its steps, at work."""
        claimed = self.db.claim(steps, self.runner)
        assert len(claimed) == steps
        return claimed

    def take(self, seconds: float) -> None:
        """Time goes by, less than a lease, while its runner lives."""
        self.db.call("heartbeat", runner_id=self.runner)
        self.db.move_clock(seconds)

    def finish(self, steps: int = 1) -> None:
        """So many of its ready steps, one after the other, come to their end."""
        for _ in range(steps):
            self.db.complete(self.claim()[0])

    def fail(self, **more: Any) -> None:
        """The next of its steps fails."""
        self.db.fail(self.claim()[0], **more)


def mixed_work(db: Session) -> None:
    """All kinds, at each of the ages; the oldest have the lowest ids."""
    now = db.call("clock")
    for number, age in enumerate(AGES):
        db.database.set_clock((now - age).isoformat())
        for name, make in _kinds():
            make(db, f"{name}_{number}")
    db.move_clock(1)


def _kinds() -> Iterator[tuple[str, Callable[[Session, str], None]]]:
    here = globals()
    yield from ((name.removeprefix("_make_"), here[name]) for name in here if name[:6] == "_make_")


def _make_pending(db: Session, name: str) -> None:
    Kind(db, name, "a->b").start()


def _make_at_work(db: Session, name: str) -> None:
    kind = Kind(db, name, "a->b")
    kind.start()
    kind.claim()


def _make_complete(db: Session, name: str) -> None:
    kind = Kind(db, name, "a->b")
    kind.start()
    kind.finish(2)


def _make_failed(db: Session, name: str) -> None:
    kind = Kind(db, name, "a->b c")
    kind.start()
    kind.fail(retryable=False)
    kind.finish()


def _make_cancelled(db: Session, name: str) -> None:
    kind = Kind(db, name, "a->b c->d")
    task = kind.start()
    kind.fail(retryable=False)
    db.call("cancel_task", task_id=task)


def _make_resolved(db: Session, name: str) -> None:
    kind = Kind(db, name, "a->b")
    task = kind.start()
    kind.fail(retryable=False)
    db.call("resolve_task", task_id=task)


def _make_in_backoff(db: Session, name: str) -> None:
    kind = Kind(db, name, "a->b")
    kind.start()
    kind.fail(retry_after=timedelta(days=90))


def _make_due(db: Session, name: str) -> None:
    """A retry that is due and not promoted."""
    kind = Kind(db, name, "a->b")
    kind.start()
    kind.fail(retry_after=timedelta(milliseconds=500))


def _make_tried_often(db: Session, name: str) -> None:
    """Six attempts, one after the other."""
    kind = Kind(db, name, "a", retry_limit=9)
    kind.start()
    for _ in range(6):
        kind.fail(retry_after=timedelta(0))


def _make_exhausted(db: Session, name: str) -> None:
    kind = Kind(db, name, "a->b c->d", retry_limit=1)
    kind.start()
    kind.fail()


def _make_paused(db: Session, name: str) -> None:
    db.call("pause_task", task_id=Kind(db, name, "a->b").start())


def _make_scheduled(db: Session, name: str) -> None:
    Kind(db, name, "a->b").start(run_at=db.call("clock") + timedelta(days=90))


def _make_put_off(db: Session, name: str) -> None:
    kind = Kind(db, name, "a->b")
    kind.start()
    db.release(kind.claim()[0], delay=timedelta(days=90))


def _make_wide(db: Session, name: str) -> None:
    """Seven steps are ready at once."""
    kind = Kind(db, name, " ".join(f"a->{step}" for step in "bcdefgh"))
    kind.start()
    kind.finish()


def _make_several(db: Session, name: str) -> None:
    """Three are ready, one has failed."""
    kind = Kind(db, name, "a->b a->c a->d a->e")
    kind.start()
    kind.finish()
    kind.fail(retryable=False)


def _make_deep(db: Session, name: str) -> None:
    Kind(db, name, CHAIN).start()


def _make_nearly_done(db: Session, name: str) -> None:
    """Ten of eleven steps are done."""
    kind = Kind(db, name, " ".join(f"{step}->z" for step in "abcdefghij"))
    kind.start()
    kind.finish(10)


def _make_skipped(db: Session, name: str) -> None:
    task = Kind(db, name, "a->b").start()
    db.call("skip_step", workflow_step_id=db.step_id(task, "a"))
    db.call("resolve_step", workflow_step_id=db.step_id(task, "b"))
