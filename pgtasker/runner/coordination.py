"""How a runner waits for work, and when it has done enough.

Responsible for three strategies and for the rhythm that each gives to the looks for work. What a
look is, and what is ready, is left to the runner and to the database.

A strategy only says how; it keeps no state, so one object serves any number of runners.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Protocol

from pgtasker.errors import ConfigurationError

SHORT_PAUSES = (0.02, 0.1, 0.5, 1.2)  # seconds; together more than what a head may lag behind


class Coordination(Protocol):
    """A strategy; a class of your own needs no more than these three members."""

    @property
    def listens(self) -> bool:
        """Whether the runner is woken by notifications, and looks after whatever may bring work."""

    @property
    def patience(self) -> float | None:
        """The run ends when nothing is ready and nothing was executed, or comes due, within so many
        seconds; None: it goes on until it is stopped.
        """

    def pause(self, fruitless: int, poll_interval: float) -> float:
        """Seconds until the next look, after a look that gave less than was asked for.

        `fruitless` looks before it did so too without giving anything; `poll_interval` is the
        setting of the install. Up to a fifth is taken off, so that runners do not keep step.
        """


@dataclass(frozen=True, slots=True)
class EventDriven:
    """Sleep until notified (the default): needs connections that keep their session.

    After a look in vain come a few short, growing pauses: whoever made steps ready may have looked
    before this runner was known to sleep, and then did not notify it. After them it relies on being
    woken, and polls slowly in case a notification is lost.
    """

    @property
    def listens(self) -> bool:
        """Yes."""
        return True

    @property
    def patience(self) -> None:
        """It goes on until it is stopped."""

    def pause(self, fruitless: int, poll_interval: float) -> float:
        """Short pauses first, then the install's `poll_interval`."""
        return SHORT_PAUSES[fruitless] if fruitless < len(SHORT_PAUSES) else poll_interval


@dataclass(frozen=True, slots=True)
class Polling:
    """Look every `interval` seconds and never LISTEN: for poolers that share sessions.

    New work waits for up to `interval`; a child whose parent ends here is found at once.
    """

    interval: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.interval) and self.interval > 0):
            raise ConfigurationError(
                f"interval must be a positive number of seconds, not {self.interval!r}"
            )

    @property
    def listens(self) -> bool:
        """No."""
        return False

    @property
    def patience(self) -> None:
        """It goes on until it is stopped."""

    def pause(self, fruitless: int, poll_interval: float) -> float:
        """The interval."""
        return self.interval


@dataclass(frozen=True, slots=True)
class UntilEmpty:
    """One pass, for cron and for tests: run what is ready and what follows from it, then end.

    What comes due within `wait` seconds after the last handler ended (a retry, a schedule) still
    belongs to the pass. What another runner holds does not, nor do the steps after it.
    """

    wait: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.wait) and self.wait >= 0):
            raise ConfigurationError(f"wait must be a number of seconds, not {self.wait!r}")

    @property
    def listens(self) -> bool:
        """No."""
        return False

    @property
    def patience(self) -> float:
        """What was given as `wait`."""
        return self.wait

    def pause(self, fruitless: int, poll_interval: float) -> float:
        """Short: something is ready, and only just cannot be claimed."""
        return SHORT_PAUSES[min(fruitless, len(SHORT_PAUSES) - 1)]


class Rhythm:
    """The time of the next look, on the clock whose readings it is given."""

    def __init__(self, coordination: Coordination) -> None:
        self.poll_interval = 5.0
        self._coordination = coordination
        self._next = 0.0
        self._fruitless = 0
        self._called = False  # since a look that is under way began

    def seconds(self, now: float) -> float:
        """How long until the next look; 0 if it is due."""
        return max(0.0, self._next - now)

    def look(self) -> None:
        """Something may have become ready: look now."""
        self._next = 0.0
        self._called = True

    def wake(self) -> None:
        """Somebody says that something is ready: look now, and again after short pauses."""
        self.look()
        self._fruitless = 0

    def asked(self) -> None:
        """A look begins: it may miss what is announced from now on."""
        self._called = False

    def sleep(self, now: float, seconds: float) -> None:
        """Nothing can become ready for so long."""
        self._next = now + seconds

    def answered(self, now: float, *, asked: int, got: int) -> None:
        """Plan the next look after an answer."""
        if got:
            self._fruitless = 0
        if got >= asked or self._called:
            self._next = 0.0
            return
        pause = self._coordination.pause(self._fruitless, self.poll_interval)
        self._fruitless += 1
        # Never later than planned: the database knows this runner as asleep until then.
        self._next = now + pause * random.uniform(0.8, 1.0)
