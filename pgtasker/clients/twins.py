"""What threads and an event loop do differently, in pairs of the same shape.

Responsible for the few things that a synchronous module generated from an asynchronous one cannot
get by leaving out `await`: to sleep, also until something happens, and to call what may be
awaitable.
"""

from __future__ import annotations

import asyncio
import inspect
import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import Any


class AsyncSignal:
    """Wakes the one task that sleeps on it; what comes before it sleeps counts."""

    def __init__(self) -> None:
        self._is_set = False
        self._sleeper: asyncio.Future[None] | None = None  # not an Event: that keeps to one loop

    def set(self) -> None:
        self._is_set = True
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    async def wait(self, timeout: float | None) -> None:
        """Sleep until it is set, at most that many seconds."""
        if not self._is_set:
            self._sleeper = asyncio.get_running_loop().create_future()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._sleeper
            self._sleeper = None
        self._is_set = False


class Signal:
    """Wakes the one thread that sleeps on it; what comes before it sleeps counts."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def wait(self, timeout: float | None) -> None:
        """Sleep until it is set, at most that many seconds."""
        self._event.wait(timeout)
        self._event.clear()


class AsyncBell(AsyncSignal):
    """A signal that input on a connection sets as well."""

    async def wait_for_input(self, descriptor: int | None, timeout: float) -> None:
        """Sleep until it is set, or there is something to read, at most that many seconds."""
        if descriptor is None:
            return await self.wait(timeout)
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, self.set)
        try:
            await self.wait(timeout)
        finally:
            loop.remove_reader(descriptor)


class Bell:
    """A signal that input on a connection sets as well."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._sleeper: socket.socket | None = None

    def set(self) -> None:
        with self._lock:
            self._is_set = True
            if self._sleeper is not None:
                with suppress(BlockingIOError):
                    self._sleeper.send(b"\0")

    def wait_for_input(self, descriptor: int | None, timeout: float) -> None:
        """Sleep until it is set, or there is something to read, at most that many seconds."""
        near, far = socket.socketpair()
        far.setblocking(False)
        with near, far, selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ)
            if descriptor is not None:
                selector.register(descriptor, selectors.EVENT_READ)
            with self._lock:
                self._sleeper = far
            try:
                selector.select(0 if self._is_set else timeout)
            finally:
                with self._lock:
                    self._sleeper = None
                    self._is_set = False


async def rest_async(seconds: float) -> None:
    """Sleep."""
    await asyncio.sleep(seconds)


def rest(seconds: float) -> None:
    """Sleep."""
    time.sleep(seconds)


async def resolved_async(value: Any) -> Any:
    """A value, or what a function, plain or awaited, gives instead of it."""
    given = value() if callable(value) else value
    return await given if inspect.isawaitable(given) else given


def resolved(value: Any) -> Any:
    """A value, or what a function gives instead of it."""
    return value() if callable(value) else value
