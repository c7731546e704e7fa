"""What the two loops of a runner share.

Responsible for what was asked of the runner, for how it stands with the database, and for telling
each loop that something changed. What they do about it is left to `control` and `work`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgtasker.codec import Codec
from pgtasker.runner.coordination import Coordination, Rhythm
from pgtasker.runner.execution import Executions
from pgtasker.runner.executors import Executor
from pgtasker.runner.extension import Extensions
from pgtasker.runner.handlers import Handlers
from pgtasker.runner.link import Link
from pgtasker.runner.pools import Pools
from pgtasker.runner.reports import Reports
from pgtasker.workflow import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked of a runner; `grace` is in seconds, `to_register` are stored first."""

    dsn: str
    schema: str
    name: str
    queues: tuple[str, ...]
    workflows: tuple[Workflow, ...]
    to_register: tuple[Workflow, ...]
    replace: bool
    concurrency: int
    grace: float
    transactions: int
    coordination: Coordination
    executors: Mapping[str, Executor]
    codec: Codec | None


class Shared:
    """The state of one runner; belongs to its event loop."""

    def __init__(self, options: Options, log: Any) -> None:
        self.options = options
        self.log = log
        self.control = Link("control", options.dsn, options.schema, log)
        self.work = Link("work", options.dsn, options.schema, log)
        self.rhythm = Rhythm(options.coordination)
        self.reports = Reports()
        self.executions = Executions(
            Handlers(options.workflows),
            options.executors,
            self.reports,
            Extensions(self.work),
            self.tell,
            log,
            options.name,
            slots=options.concurrency,
            pools=Pools(options.dsn, options.schema, options.transactions),
            look=self.rhythm.look,
        )
        self.runner_id: int | None = None
        self.lease = 15.0  # seconds
        self.beat_at: float | None = None  # on the monotonic clock
        self.advancing = asyncio.Lock()  # while it is held, what this runner holds is in motion
        self.changed = asyncio.Event()
        self.stopping = False
        self.hurried = False

    def tell(self) -> None:
        """Something changed that somebody may wait for."""
        self.changed.set()

    def stop(self) -> None:
        """Claim no more; the second time, wait for nothing."""
        self.hurried = self.stopping
        self.stopping = True
        self.tell()

    def expired(self) -> None:
        """The database has given the runner up: it registers anew."""
        if self.runner_id is not None:
            self.log.warning("runner expired", runner_id=self.runner_id)
            self.runner_id = None
