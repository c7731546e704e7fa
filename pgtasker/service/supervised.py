"""A runner under a supervisor: its side of the line between the two.

Responsible for reporting health and for obeying. Words from the supervisor and signals may tell the
same twice (systemd signals every process of a service): only the supervisor can make a runner
hurry.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
from contextlib import suppress

from pgtasker.runner import Runner, loop
from pgtasker.service.probes import body
from pgtasker.service.supervisor import ENVIRONMENT, FAREWELL

REPORT_EVERY = 1.0  # seconds
BEGINNING = 0.1  # seconds between reports until the runner is ready


def line_to_supervisor() -> socket.socket | None:
    """The line, if a supervisor started this process; no process started from here inherits it."""
    number = os.environ.pop(ENVIRONMENT, None)
    if number is None:
        return None
    line = socket.socket(fileno=int(number))
    line.set_inheritable(False)
    return line


def run_supervised(
    runner: Runner,
    line: socket.socket,
    grace: float,
    loop_factory: loop.LoopFactory | None = None,
) -> None:
    """Run until the supervisor says `stop` or is gone, or a signal comes."""
    loop.run(_Supervised(runner, line, grace).run(), loop_factory)


class _Supervised:
    def __init__(self, runner: Runner, line: socket.socket, grace: float) -> None:
        self._runner = runner
        self._line = line
        self._grace = grace
        self._told = False
        self._ended = threading.Event()

    async def run(self) -> None:
        running = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            running.add_signal_handler(number, self._stop)
        for talk, given in ((self._report, []), (self._obey, [running])):
            threading.Thread(target=talk, args=given, name="supervision", daemon=True).start()
        try:
            await self._runner.run()
        finally:
            self._ended.set()

    def _stop(self) -> None:
        if not self._told:
            self._told = True
            self._runner.stop()

    def _hurry(self) -> None:
        self._stop()
        self._runner.stop()

    def _report(self) -> None:
        with suppress(OSError):
            while True:
                vitals = self._runner.health()
                self._line.sendall(json.dumps(body(vitals), default=str).encode() + b"\n")
                if self._ended.wait(REPORT_EVERY if vitals.ready else BEGINNING):
                    return

    def _obey(self, running: asyncio.AbstractEventLoop) -> None:
        words = {"stop": self._stop, "hurry": self._hurry}
        with suppress(RuntimeError):  # the loop is closed: this process ends anyway
            with suppress(OSError), self._line.makefile("r") as heard:
                for word in heard:
                    running.call_soon_threadsafe(words[word.strip()])
            running.call_soon_threadsafe(self._stop)
        # The supervisor is gone, and a handler may keep the loop from stopping.
        if not self._ended.wait(self._grace + FAREWELL):
            os._exit(1)
