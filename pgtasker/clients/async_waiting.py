"""Waiting for the end of tasks, asynchronously, any number of tasks at the cost of one.

Of all who wait on one client, one looks for all: it sleeps on the connection that listens, which
the database notifies of the end of each task (`watch_task`), and hands its place on when its own
wait is over. Notifications can be lost (a transaction pooler, a failover, an end that was about to
commit), so it also looks by itself: after growing pauses of up to a second, or of up to five once a
notification has shown that they arrive. All tasks that are due are one query. Where nothing can
listen, the looks are all there is.

The synchronous twin is generated from this module by tools/generate_sync_client.py.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Sequence
from typing import TypeVar

import psycopg

from pgtasker import surface
from pgtasker.clients.async_access import AsyncAccess
from pgtasker.clients.async_listening import AsyncListening
from pgtasker.clients.twins import AsyncBell, AsyncSignal
from pgtasker.errors import one_line
from pgtasker.rows import Task, TaskState

T = TypeVar("T")

# In seconds.
SHORTEST_PAUSE = 0.05  # between two looks at a task, doubled each time
LONGEST_PAUSE = 1.0
LONGEST_TRUSTING_PAUSE = 5.0  # while notifications arrive
RENEWAL = 25.0  # of a watch, which lasts a minute
GRACE = 1.0  # for the last look, past a timeout
TICK = 0.05  # the shortest sleep

NEVER = float("-inf")
_TROUBLE = (psycopg.OperationalError, psycopg.InterfaceError, OSError)


class AsyncWait:
    """One who waits, for one or several tasks."""

    def __init__(self, task_ids: Iterable[int], timeout: float | None) -> None:
        self.open = set(task_ids)
        self.found: dict[int, Task] = {}
        self.states: dict[int, str] = {}
        self.error: psycopg.Error | None = None
        self.signal = AsyncSignal()
        self.deadline = float("inf") if timeout is None else time.monotonic() + timeout
        self.looked_at = self.watched_at = NEVER
        self.next_look = self.early_look = NEVER
        self.pause = SHORTEST_PAUSE

    def is_over(self) -> bool:
        """Everything was found, or the time is up and a last look was made."""
        return (
            not self.open
            or self.error is not None
            or self.looked_at >= self.deadline
            or time.monotonic() >= self.deadline + GRACE
        )

    def remaining(self) -> float | None:
        """How long to sleep at most, in seconds."""
        if self.deadline == float("inf"):
            return None
        return max(self.deadline - time.monotonic(), TICK)

    def note_look(self, now: float, longest: float) -> None:
        """The next look comes later, and one when the time is up."""
        pause = min(self.pause, longest)
        self.looked_at = now
        self.early_look = now + pause / 2
        self.next_look = min(now + pause, max(self.deadline, now + TICK))
        self.pause = pause * 2


class AsyncWaiting:
    """Those who wait on one client."""

    def __init__(self, access: AsyncAccess) -> None:
        self._access = access
        self._listening = AsyncListening(access)
        self._waits: set[AsyncWait] = set()
        self._lead = threading.Lock()  # held by the one who looks; nobody ever blocks on it
        self._bell = AsyncBell()  # that one sleeps on it
        self._longest = LONGEST_PAUSE
        self._failures = 0
        self._failure: Exception | None = None

    async def rest(self, task_ids: Sequence[int], timeout: float | None) -> list[Task]:
        """Wait until all of them are at rest; raises TimeoutError after `timeout` seconds."""
        self._access.require_no_transaction()
        wait = AsyncWait(task_ids, timeout)
        self._waits.add(wait)
        self._bell.set()
        try:
            while not wait.is_over():
                if self._lead.acquire(blocking=False):
                    try:
                        await self._look_until_over(wait)
                    finally:
                        self._lead.release()
                else:
                    await wait.signal.wait(wait.remaining())
        finally:
            self._waits.discard(wait)
            self._pass_on()
        if wait.error is not None:
            raise wait.error
        if wait.open:
            raise TimeoutError(self._lateness(wait, len(set(task_ids)), timeout))
        return [wait.found[task_id] for task_id in task_ids]

    async def close(self) -> None:
        """Close the connection that listens; the next wait opens another."""
        await self._listening.close()

    def _pass_on(self) -> None:
        """Wake somebody to look for the others, if nobody does."""
        if not self._lead.locked():
            for wait in tuple(self._waits)[:1]:
                wait.signal.set()

    async def _look_until_over(self, own: AsyncWait) -> None:
        while True:
            try:
                pause = await self._look(own)
                self._failures, self._failure = 0, None
                if not own.is_over():
                    await self._sleep(own, pause)
            except _TROUBLE as error:
                pause = await self._recover(own, error)
                await self._sleep(own, pause)
            if own.is_over():
                return

    async def _sleep(self, own: AsyncWait, seconds: float) -> None:
        """Until there is something to do for somebody who waits."""
        connection, remaining = self._listening.connection, own.remaining()
        await self._bell.wait_for_input(
            None if connection is None else connection.fileno(),
            seconds if remaining is None else min(seconds, remaining),
        )

    async def _recover(self, own: AsyncWait, error: Exception) -> float:
        """Go on with a new connection, unless this wait never got a look; answers when."""
        await self._listening.close()
        self._failures += 1
        self._failure = error
        is_late = time.monotonic() >= own.deadline
        if own.looked_at == NEVER and (self._failures > 1 or is_late):
            raise error
        longest = min(SHORTEST_PAUSE * 2**self._failures, LONGEST_PAUSE)
        return random.uniform(longest / 2, longest)

    async def _look(self, own: AsyncWait) -> float:
        """Look at what is due and hand out what came to rest; answers when to look again."""
        if await self._listening.open(own.remaining()):
            self._longest = LONGEST_PAUSE
            for wait in tuple(self._waits):
                wait.watched_at = wait.next_look = NEVER
        now = time.monotonic()
        due = self._due(now)
        asked = _tasks_of(due)
        states = await self._states(due, now)
        if states is None:
            return LONGEST_PAUSE
        told = self._listening.hear() & _tasks_of(self._waits)
        rested = {state.task_id for state in states if state.at_rest}
        self._judge(due, told, rested)
        missing = asked - {state.task_id for state in states}
        self._hand_out(await self._fetch(told | rested | missing))
        for wait in due:
            wait.states |= {s.task_id: s.state for s in states if s.task_id in wait.open}
            wait.note_look(now, self._longest)
        for wait in tuple(self._waits):
            if wait.is_over():
                wait.signal.set()
        next_look = min((wait.next_look for wait in tuple(self._waits)), default=now)
        return max(0.0, next_look - time.monotonic())

    def _due(self, now: float) -> list[AsyncWait]:
        """Whose pause is over, and with them those of whose pause half is."""
        waits = tuple(self._waits)
        if all(wait.next_look > now for wait in waits):
            return []
        return [wait for wait in waits if wait.early_look <= now or wait.next_look <= now]

    async def _states(self, due: list[AsyncWait], now: float) -> list[TaskState] | None:
        """How the tasks of those who are due stand; None if it cannot be asked now."""
        renewed = [wait for wait in due if now - wait.watched_at >= RENEWAL]
        watched = await self._watch(_tasks_of(renewed))
        for wait in renewed:
            wait.watched_at = now
        looked = _tasks_of(due) - {state.task_id for state in watched}
        if not looked:
            return watched
        seen = await self._send(surface.task_states(sorted(looked)))
        return None if seen is None else watched + seen

    async def _watch(self, task_ids: set[int]) -> list[TaskState]:
        """Ask to be told of the end of these; nothing where that is not possible."""
        if not task_ids or self._listening.connection is None:
            return []
        call = surface.watch_tasks(sorted(task_ids), self._listening.channel)
        try:
            return await self._send(call) or []
        except _TROUBLE:
            raise
        except psycopg.Error:  # a replica, or a role that may only look
            await self._listening.close()
            self._listening.give_up()
            return []

    async def _fetch(self, task_ids: set[int]) -> list[Task]:
        """All about these tasks; who waits for one that does not exist is given the error."""
        if not task_ids:
            return []
        try:
            return await self._send(surface.get_tasks(sorted(task_ids))) or []
        except psycopg.errors.NoDataFound as error:
            if len(task_ids) == 1:
                for wait in tuple(self._waits):
                    if wait.open & task_ids:
                        wait.error = error
                return []
        return [task for task_id in task_ids for task in await self._fetch({task_id})]

    async def _send(self, call: surface.Call[list[T]]) -> list[T] | None:
        if self._listening.connection is None:
            return await self._access.look(call)
        return await surface.execute_async(self._listening.connection, self._access.schema, call)

    def _judge(self, due: list[AsyncWait], told: set[int], rested: set[int]) -> None:
        """Whether notifications arrive: an end was told, or after a while a look found it."""
        if told:
            self._longest = LONGEST_TRUSTING_PAUSE
        elif any(wait.pause >= LONGEST_PAUSE and wait.open & rested for wait in due):
            self._longest = LONGEST_PAUSE

    def _hand_out(self, tasks: list[Task]) -> None:
        for wait in tuple(self._waits):
            for task in tasks:
                if task.at_rest and task.task_id in wait.open:
                    wait.found[task.task_id] = task
                    wait.open.discard(task.task_id)

    def _lateness(self, wait: AsyncWait, number: int, timeout: float | None) -> str:
        late = [f"task {one} is still {wait.states.get(one, 'unseen')}" for one in wait.open]
        text = f"{', '.join(late[:3])} after {timeout} s"
        if number > 1:
            text = f"{len(late)} of {number} tasks are not at rest: {text}"
        return text if self._failure is None else f"{text}: {one_line(self._failure)}"


def _tasks_of(waits: Iterable[AsyncWait]) -> set[int]:
    return {task_id for wait in tuple(waits) for task_id in tuple(wait.open)}
