"""Claims that are ahead of the free slots, so that handlers have work while an `advance` is under
way.

Responsible for their order, for giving back what waits too long, and for how many are worth having:
as many as end while one `advance` is under way. Where handlers are slow that is none, and nothing
is kept from other runners. Beginning them is left to `execution`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from pgtasker.rows import ClaimedStep

MOST_AHEAD = 200  # claims, at most, beyond the slots of a runner
PER_SLOT = 4  # such claims, at most, for each slot
MOST_TEXT = 4_000_000  # characters of JSON, at most, in the claims beyond the slots
PATIENCE = 0.2  # seconds until a claim goes back that has found no slot


class Ahead:
    """The claims that have no slot yet; `give_back` is called with one that has waited too long."""

    def __init__(self, give_back: Callable[[ClaimedStep], None]) -> None:
        self._give_back = give_back
        self._waiting: dict[int, tuple[ClaimedStep, float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[int]:
        return iter(self._waiting)

    def add(self, claim: ClaimedStep) -> None:
        """The claim came last."""
        loop = asyncio.get_running_loop()
        self._waiting[claim.claim_id] = (claim, loop.time())
        if self._timer is None:
            self._timer = loop.call_later(PATIENCE, self._look)

    def first(self) -> tuple[ClaimedStep, float]:
        """The claim that came first, and when; it waits no longer."""
        return self._waiting.pop(next(iter(self._waiting)))

    def leave(self, claim_id: int) -> ClaimedStep | None:
        """The claim waits no longer; None if it did not."""
        claim, _ = self._waiting.pop(claim_id, (None, 0.0))
        return claim

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        for claim, since in list(self._waiting.values()):
            rest = since + PATIENCE - loop.time()
            if rest > 0:
                self._timer = loop.call_later(rest, self._look)
                break
            del self._waiting[claim.claim_id]
            self._give_back(claim)


class Pace:
    """How many attempts would end while one `advance` is under way, by what happened since the
    last: its share of those that ended, twice that if it left this runner without work.
    """

    def __init__(self, slots: int) -> None:
        self.expected = 0
        self._limit = min(MOST_AHEAD, PER_SLOT * slots)
        self._sent_at = 0.0
        self._took = 0.0
        self._ended = 0
        self._most = self._limit
        self._growth = 1

    def sent(self, now: float, ended: int) -> None:
        """An `advance` is about to be sent; `ended` attempts have ended by now, in all."""
        share = min(1.0, self._took / max(now - self._sent_at, 1e-6))
        self.expected = min(self._most, int((ended - self._ended) * share * self._growth))
        self._sent_at, self._ended = now, ended

    def answered(self, now: float, *, idle: bool, claims: int, text: int) -> None:
        """The `advance` has its answer: so many claims, in so many characters of JSON.

        `idle`: everything that was claimed before had ended by then.
        """
        self._took = now - self._sent_at
        self._growth = 2 if idle else 1
        if claims:
            self._most = min(self._limit, MOST_TEXT * claims // text)
