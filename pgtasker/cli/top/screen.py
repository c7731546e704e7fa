"""The screen of `top`: looks at the database on one thread, draws and hears keys on the other.

Responsible for what is drawn when, and for going on when the database does not answer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg

from pgtasker.cli.base import Settings, line_of
from pgtasker.cli.top.frame import Status, render, rows_of, span
from pgtasker.cli.top.picture import Picture, Reading, compare
from pgtasker.cli.top.terminal import Terminal
from pgtasker.cli.top.view import View
from pgtasker.client import Client
from pgtasker.errors import PgtaskerError
from pgtasker.service.logs import redactor

WINDOW = 10.0  # seconds that rates are over
REMEMBERED = 60.0  # seconds; the counters stand still for so long before rates are unknown
SILENCE = 5.0  # seconds without an answer before it is said


def follow(settings: Settings, interval: float) -> None:
    """Show the screen until somebody leaves it. Raises what the first look runs into."""
    with settings.client() as client:
        feed = Feed(client, settings, interval)
        feed.look()  # so that an address without a database is an error, and no screen
        with Terminal() as terminal:
            try:
                _Screen(terminal, feed, settings.database()).run()
            except KeyboardInterrupt:
                return


class Feed:
    """Readings of the database, taken on a thread of their own."""

    def __init__(self, client: Client, settings: Settings, interval: float) -> None:
        self._client = client
        self._settings = settings
        self._readings: deque[Reading] = deque()
        self._hurry = threading.Event()
        self.interval = interval
        self.picture: Picture | None = None
        self.read_at = datetime.now(UTC)
        self.asked_at: float | None = None  # None while nothing is asked
        self.error: str | None = None
        self.bug: Exception | None = None

    def look(self) -> None:
        """Take one reading."""
        self.asked_at = time.monotonic()
        metrics = self._client.monitoring_metrics()
        reading = Reading.of(metrics, time.monotonic())
        self._readings.append(reading)
        while self._readings[0].at < reading.at - REMEMBERED:
            self._readings.popleft()
        self.picture = compare(tuple(self._readings), WINDOW)
        self.read_at, self.asked_at, self.error = datetime.now(UTC), None, None

    def start(self, wake: Callable[[], None]) -> None:
        """Take readings from now on; `wake` is called after each."""
        threading.Thread(target=self._run, args=[wake], name="feed", daemon=True).start()

    def hurry(self) -> None:
        """Do not wait for the end of the interval."""
        self._hurry.set()

    def _run(self, wake: Callable[[], None]) -> None:
        while self.bug is None:
            self._hurry.wait(self.interval)
            self._hurry.clear()
            try:
                self.look()
            except (PgtaskerError, psycopg.Error) as error:
                line = redactor([self._settings.dsn])(line_of(error, self._settings))
                self.asked_at, self.error = None, line
            except Exception as error:  # noqa: BLE001 - it is raised on the other thread
                self.bug = error
            wake()

    def trouble(self) -> str | None:
        """What keeps the picture from being that of now."""
        if self.error is not None:
            return f"trying again: {self.error}"
        asked_at = self.asked_at
        silent = 0.0 if asked_at is None else time.monotonic() - asked_at
        return f"no answer for {span(silent)}" if silent > SILENCE else None


class _Screen:
    def __init__(self, terminal: Terminal, feed: Feed, source: str) -> None:
        self._terminal = terminal
        self._feed = feed
        self._source = source
        self._view = View(interval=feed.interval)

    def run(self) -> None:
        self._feed.start(self._terminal.wake)
        picture, read_at = self._feed.picture, self._feed.read_at
        while not self._view.done:
            if self._feed.bug is not None:
                raise self._feed.bug
            if not self._view.paused:
                picture, read_at = self._feed.picture, self._feed.read_at
            assert picture is not None
            self._draw(picture, read_at)
            for key in self._terminal.keys(1.0):
                rows = len(rows_of(picture, self._view, self._view.section))
                self._view = self._view.after(key, rows)
            if self._view.interval != self._feed.interval:
                self._feed.interval = self._view.interval
                self._feed.hurry()

    def _draw(self, picture: Picture, read_at: datetime) -> None:
        columns, lines = self._terminal.size()
        status = Status(self._source, read_at, self._feed.trouble())
        self._terminal.draw(render(picture, self._view, status, width=columns, height=lines))
