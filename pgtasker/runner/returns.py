"""Claims that go back to the database although nothing was executed.

Responsible for when such a step may be tried again and for what the log says about it. That the
attempt does not count is decided by the database.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from pgtasker.rows import ClaimedStep
from pgtasker.runner.outcomes import released
from pgtasker.runner.reports import Reports
from pgtasker.runner.step import ids

DELAY = 10.0  # seconds until a step that this runner cannot execute is tried again
WARN_EVERY = 60.0  # seconds; a queue may hold thousands of steps of another runner's workflow


class Returns:
    """Hands back the claims of one runner; `tell` is called after each."""

    def __init__(self, reports: Reports, tell: Callable[[], None], log: Any) -> None:
        self._reports = reports
        self._tell = tell
        self._log = log
        self._warned_at: dict[tuple[str, ...], float] = {}

    def untouched(self, claim: ClaimedStep) -> None:
        """Another runner may have it at once."""
        self._reports.add(claim, released())
        self._tell()

    def explained(self, claim: ClaimedStep, why: str) -> None:
        """It cannot be executed here and now; somebody may have to do something about it."""
        self._warn_of(claim)("step released", why=why, retry_in=DELAY)
        self._reports.add(claim, released(DELAY))
        self._tell()

    def _warn_of(self, claim: ClaimedStep) -> Callable[..., Any]:
        """A warning once a minute for each step of a workflow; between, a line for debugging."""
        kind = (claim.namespace, claim.workflow_name, claim.version, claim.step_name)
        now, logger = time.monotonic(), self._log.bind(**ids(claim))
        if now - self._warned_at.get(kind, -math.inf) < WARN_EVERY:
            return logger.debug  # type: ignore[no-any-return]
        self._warned_at[kind] = now
        return logger.warning  # type: ignore[no-any-return]
