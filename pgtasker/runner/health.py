"""How a runner is, and whether its event loop turns.

Responsible for the pulse (a tick on the loop, looked at from a thread of its own) and for naming
who holds up the loop: while it does not turn, no lease is renewed. Telling others is left to
`pgtasker.service.probes`, ending a process that is not live to whoever supervises it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

TICK = 0.25  # seconds
STALL = 1.0  # seconds without a tick after which somebody is to blame
LONGEST_STALL = 10.0  # seconds without a tick, at least, after which the runner is not live
SILENCE = 60.0  # seconds until the same place is named again
MOST_PLACES = 3
_LOOP = ("selectors", "asyncio.events", "asyncio.base_events", "asyncio.runners")
_OURS = ("asyncio", "pgtasker.runner")


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a runner at one moment; times are in seconds.

    `live`: its event loop turns. A database that is away does not count: a restart would not help.
    `ready`: registered, the last heartbeat is within the lease, and it is not stopping.
    `running` counts the attempts that it holds, `unreported` the outcomes that the database does
    not have yet, `stalled` the time since the event loop turned.
    """

    live: bool
    ready: bool
    stopping: bool
    runner: str
    runner_id: int | None
    running: int
    unreported: int
    last_heartbeat_age: float | None
    stalled: float | None


class Pulse:
    """The pulse of one event loop.

    `attempt_of` gives the fields of a log line about the attempt that a task belongs to.
    """

    def __init__(self, log: Any, attempt_of: Callable[[asyncio.Task[Any]], dict[str, Any]]) -> None:
        self._log = log
        self._attempt_of = attempt_of
        self._ticked_at: float | None = None
        self._ended = threading.Event()
        self._named: dict[str, float] = {}

    @property
    def stalled(self) -> float | None:
        """Seconds since the loop turned; None before it began and after it ended."""
        ticked_at = self._ticked_at
        return None if ticked_at is None else time.monotonic() - ticked_at

    async def beat(self) -> None:
        """Tick until cancelled."""
        loop = asyncio.get_running_loop()
        self._ticked_at = time.monotonic()
        self._ended.clear()
        watched = (loop, threading.get_ident())
        watcher = threading.Thread(target=self._watch, args=watched, name="pulse", daemon=True)
        watcher.start()
        try:
            while True:
                self._ticked_at = time.monotonic()
                await asyncio.sleep(TICK)
        finally:
            self._ended.set()
            self._ticked_at = None
            watcher.join()  # a thread that outlives the interpreter keeps the application alive

    def _watch(self, loop: asyncio.AbstractEventLoop, thread_id: int) -> None:
        blamed = None
        while not self._ended.wait(TICK):
            ticked_at = self._ticked_at
            if ticked_at in (None, blamed) or time.monotonic() - ticked_at < STALL:
                continue
            places = _places(sys._current_frames().get(thread_id))
            if places and self._ticked_at == ticked_at:
                blamed = ticked_at
                self._blame(loop, places, time.monotonic() - ticked_at)

    def _blame(self, loop: asyncio.AbstractEventLoop, places: list[str], stalled: float) -> None:
        now = time.monotonic()
        culprit = places[-1].partition(" at ")[0]
        if now - self._named.get(culprit, -SILENCE) < SILENCE:
            return
        self._named = {name: at for name, at in self._named.items() if now - at < SILENCE}
        self._named[culprit] = now
        task = asyncio.current_task(loop)
        self._log.warning(
            "event loop blocked",
            seconds=round(stalled, 1),
            where=" < ".join(dict.fromkeys([*places[:MOST_PLACES], places[-1]])),
            **({} if task is None else self._attempt_of(task)),
            consequence="the lease cannot be renewed, and no other handler goes on",
            advice="declare the step as a plain function, or await asyncio.to_thread",
        )


def _places(frame: FrameType | None) -> list[str]:
    """What the loop is calling, innermost first, without what is asyncio's and ours; empty if it
    only waits.
    """
    places: list[str] = []
    while frame is not None and _module(frame) not in _LOOP:
        if not _module(frame).startswith(_OURS):
            code = frame.f_code
            places.append(f"{code.co_qualname} at {code.co_filename}:{frame.f_lineno}")
        frame = frame.f_back
    return places


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))
