"""When an idle runner looks for work again.

Responsible for the rhythm alone: at once after a full answer; after an answer with less than was
asked for, a few short, growing pauses (whoever made steps ready may have looked before this runner
was marked as waiting, and then does not notify it), then the slow, jittered poll.
"""

from __future__ import annotations

import random

SHORT_PAUSES = (0.02, 0.1, 0.5, 1.2)  # seconds; together more than what a head may lag behind


class Pacing:
    """The time of the next look, on the clock whose readings it is given."""

    def __init__(self) -> None:
        self.poll_interval = 5.0
        self._next = 0.0
        self._fruitless = 0

    def seconds(self, now: float) -> float:
        """How long until the next look; 0 if it is due."""
        return max(0.0, self._next - now)

    def look(self) -> None:
        """Something may have become ready: look now."""
        self._next = 0.0

    def wake(self) -> None:
        """Somebody says that something is ready: look now, and again after short pauses."""
        self._next = 0.0
        self._fruitless = 0

    def answered(self, now: float, *, asked: int, got: int) -> None:
        """Plan the next look after an answer."""
        if got:
            self._fruitless = 0
        if got >= asked:
            self._next = 0.0
            return
        if self._fruitless < len(SHORT_PAUSES):
            pause = SHORT_PAUSES[self._fruitless]
        else:
            pause = self.poll_interval
        self._fruitless += 1
        # Never later than planned: the database knows this runner as asleep until then.
        self._next = now + pause * random.uniform(0.8, 1.0)
