"""Several runner processes under one: `pgtasker run --processes N`.

Responsible for starting them, for starting again what dies, for stopping all of them, and for what
they say about their health. Each is connected to the supervisor by a pair of sockets: the runner
reports its health on it once a second, the supervisor says `stop` and `hurry`, and its end of the
line tells the runner that nobody looks after it any more, however that came to be. What a runner
does is left to `runner`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

ENVIRONMENT = "PGTASKER_SUPERVISOR"  # tells a runner the number of its socket
SHORTEST_PAUSE = 0.5  # seconds before a runner that died is started again
LONGEST_PAUSE = 30.0
LONG_LIFE = 60.0  # seconds after which its next death is the first one again
BEGINNING = 120.0  # seconds that a runner may take to begin: modules may be slow to import
SILENCE = 15.0  # seconds without a word after which a runner does not count as live
PATIENCE = 3.0  # seconds that the second runner waits for the first one to be ready
LAST_WORDS = 0.5  # seconds to read what a runner said before it ended
FAREWELL = 15.0  # seconds beyond the grace period after which a runner is killed

MISTAKES = (1, 2)  # exit statuses that a person has to do something about
ENDED_BY_STOP = (0, -signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Crew:
    """How the runners are: live if each is, or is about to be started again; ready if all are."""

    live: bool
    ready: bool
    stopping: bool
    runners: list[dict[str, Any]]


@dataclass(slots=True)
class _Child:
    name: str
    process: asyncio.subprocess.Process | None = None
    line: asyncio.StreamWriter | None = None
    vitals: dict[str, Any] = field(default_factory=dict)
    heard_at: float = 0.0
    born_at: float = 0.0
    was_live: bool = False  # in this life
    was_ready: bool = False  # in any life
    lives: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, word: str) -> None:
        if self.line is not None and not self.line.is_closing():
            self.line.write(f"{word}\n".encode())

    def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    def state(self) -> dict[str, Any]:
        """What it said last; one that is about to be started again is live, but not ready."""
        process = self.process  # another thread ends it meanwhile
        running = process is not None
        beginning = not self.was_live and time.monotonic() - self.born_at < BEGINNING
        silent = running and not beginning and time.monotonic() - self.heard_at > SILENCE
        return {
            **self.vitals,
            "name": self.name,
            "pid": process.pid if process else None,
            "restarts": max(0, self.lives - 1),
            "live": not running or beginning or (not silent and self.vitals.get("live") is True),
            "ready": running and not silent and self.vitals.get("ready") is True,
        }


class Supervisor:
    """Keeps one process for each name; `command` gives the arguments that start it.

    Each has this process's environment and what `environment` adds; `grace` is its grace period.
    With `until_empty` a runner that ends by itself with status 0 has done its work.
    """

    def __init__(
        self,
        command: Callable[[str], Sequence[str]],
        names: Sequence[str],
        *,
        grace: float,
        environment: Mapping[str, str] | None = None,
        until_empty: bool = False,
    ) -> None:
        self._command = command
        self._environment = environment or {}
        self._children = [_Child(name) for name in names]
        self._grace = grace
        self._until_empty = until_empty
        self._stopping = asyncio.Event()
        self._mistake: int | None = None
        self._log = structlog.get_logger("pgtasker.supervisor")

    def vitals(self) -> Crew:
        """How the runners are; may be asked from any thread."""
        runners = [child.state() for child in self._children]
        return Crew(
            live=all(runner["live"] for runner in runners),
            ready=all(runner["ready"] for runner in runners),
            stopping=self._stopping.is_set(),
            runners=runners,
        )

    def run_forever(self) -> int:
        """Run until SIGTERM or SIGINT; a second one hurries. Answers the exit status."""

        async def main() -> int:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
            return await self.run()

        return asyncio.run(main())

    async def run(self) -> int:
        """Run until every runner has ended for good; answers the exit status.

        The first runner has a head start: what is wrong for all of them is then said once.
        """
        self._log.info("supervisor starting", processes=len(self._children))
        first, *others = self._children
        kept = [asyncio.create_task(self._keep(first))]
        await self._under_way(first)
        kept += [asyncio.create_task(self._keep(child)) for child in others]
        statuses = await asyncio.gather(*kept)
        self._log.info("supervisor stopped")
        if self._mistake is not None:
            return self._mistake
        return int(any(status not in ENDED_BY_STOP for status in statuses))

    def stop(self) -> None:
        """Stop every runner; a second call hurries. To be called on the thread of the loop."""
        word = "hurry" if self._stopping.is_set() else "stop"
        self._log.info("supervisor stopping" if word == "stop" else "supervisor hurrying")
        self._stopping.set()
        for child in self._children:
            child.tell(word)
            child.news.set()
        patience = FAREWELL + (self._grace if word == "stop" else 0)
        asyncio.get_running_loop().call_later(patience, self._kill)

    def _kill(self) -> None:
        for child in self._children:
            child.kill()

    async def _under_way(self, child: _Child) -> None:
        """Wait until it is ready or has ended, but not long once it says anything at all."""
        deadline = None
        while not (child.was_ready or self._stopping.is_set()):
            await child.news.wait()
            child.news.clear()
            deadline = deadline or time.monotonic() + PATIENCE
            if time.monotonic() > deadline:
                return

    async def _keep(self, child: _Child) -> int:
        """One runner, life after life; the exit status of the last one."""
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                status = await self._live(child)
            except OSError as error:
                self._log.warning("cannot start a process", process=child.name, error=str(error))
                status = 255
            child.news.set()
            if self._stopping.is_set() or (self._until_empty and status == 0):
                return status
            if status in MISTAKES and child.lives == 1 and not child.was_ready:
                self._mistake = status
                self.stop()
                return status
            failures = 1 if time.monotonic() - began > LONG_LIFE else failures + 1
            longest = min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** min(failures - 1, 10))
            pause = random.uniform(longest / 2, longest)
            self._log.warning(
                "runner process ended",
                process=child.name,
                **_how(status),
                restart_in=round(pause, 1),
            )
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
        return 0

    async def _live(self, child: _Child) -> int:
        """One life of a runner; its exit status, negative if a signal ended it."""
        child.lives += 1
        ours, theirs = socket.socketpair()
        child.vitals, child.was_live, child.born_at = {}, False, time.monotonic()
        with theirs:
            reader, child.line = await asyncio.open_connection(sock=ours)
            try:
                child.process = await asyncio.create_subprocess_exec(
                    *self._command(child.name),
                    stdin=asyncio.subprocess.DEVNULL,
                    env={**os.environ, **self._environment, ENVIRONMENT: str(theirs.fileno())},
                    pass_fds=[theirs.fileno()],
                    process_group=0,  # Ctrl-C in a terminal is for the supervisor, who passes it on
                )
            except OSError:
                child.line.close()
                raise
        self._log.info("runner process started", process=child.name, pid=child.process.pid)
        if self._stopping.is_set():
            child.tell("stop")
        listening = asyncio.create_task(self._listen(child, reader))
        status = await child.process.wait()
        await asyncio.wait([listening], timeout=LAST_WORDS)
        listening.cancel()
        child.line.close()
        child.process = child.line = None
        return status

    async def _listen(self, child: _Child, reader: asyncio.StreamReader) -> None:
        with suppress(OSError, ValueError):
            while line := await reader.readline():
                child.vitals, child.heard_at = json.loads(line), time.monotonic()
                child.was_live = child.was_live or child.vitals.get("live") is True
                child.was_ready = child.was_ready or child.vitals.get("ready") is True
                child.news.set()


def command_of(arguments: Sequence[str]) -> list[str]:
    """What starts `pgtasker` with these arguments in a process of its own."""
    return [sys.executable, "-m", "pgtasker", *arguments]


def _how(status: int) -> dict[str, Any]:
    if status >= 0:
        return {"exit_status": status}
    with suppress(ValueError):
        return {"signal": signal.Signals(-status).name}
    return {"signal": -status}
