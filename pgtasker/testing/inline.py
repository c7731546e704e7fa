"""Inline mode: whatever is started is run to its end before `start` returns.

Responsible for standing in for `start` and `start_many` of every client in the process. Running is
left to `drive` and `perform`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from pgtasker.async_client import AsyncClient
from pgtasker.client import Client
from pgtasker.codec import Codec
from pgtasker.testing.drive import Drive
from pgtasker.testing.perform import perform
from pgtasker.workflow import Workflow


@contextmanager
def inline(*workflows: Workflow, raise_errors: bool = False) -> Iterator[None]:
    """Inside, every `start` and `start_many` in this process runs its tasks before it returns.

    For tests of an application that check what became of the tasks it started. Everything happens
    on the connection of the client that starts them, in the transaction it is in: if that is rolled
    back at the end of the test, nothing is left. It works for `Client` and `AsyncClient`, and for
    tasks that a handler starts. As `run_task` says, nothing is waited for, and a failure is found
    in the task unless `raise_errors` raises it out of `start`.

    `workflows` are those that the application may start; one that is given to `start` itself as a
    `Workflow` need not be named. They are registered when they are started: no runner did that.

        >>> with inline(fulfil):
        ...     task_id = client.start("shop/fulfil", {"order": 42})
        >>> client.get_task(task_id).state
        'complete'
    """
    inside = _Inline(workflows, raise_errors)
    with (
        mock.patch.object(Client, "start", inside.plain(Client.start)),
        mock.patch.object(Client, "start_many", inside.plain(Client.start_many)),
        mock.patch.object(AsyncClient, "start", inside.awaited(AsyncClient.start)),
        mock.patch.object(AsyncClient, "start_many", inside.awaited(AsyncClient.start_many)),
    ):
        yield


class _Inline:
    """What stands in for the methods of the clients, for these workflows."""

    def __init__(self, workflows: tuple[Workflow, ...], raise_errors: bool) -> None:
        self._workflows = workflows
        self._raise_errors = raise_errors

    def plain(self, start: Callable[..., Any]) -> Callable[..., Any]:
        """A method of Client that runs what the given one starts."""

        @functools.wraps(start)
        def start_and_run(
            client: Client, workflow: Workflow | str, *arguments: Any, **options: Any
        ) -> Any:
            drive, started = self._drive(workflow, client._codec)
            for each in started:
                client.register(each)
            answer = start(client, workflow, *arguments, **options)
            perform(client, None, drive.finished(_task_ids(answer), self._raise_errors))
            return answer

        return start_and_run

    def awaited(self, start: Callable[..., Any]) -> Callable[..., Any]:
        """The same for a method of AsyncClient."""

        @functools.wraps(start)
        async def start_and_run(
            client: AsyncClient, workflow: Workflow | str, *arguments: Any, **options: Any
        ) -> Any:
            drive, started = self._drive(workflow, client._codec)
            for each in started:
                await client.register(each)
            answer = await start(client, workflow, *arguments, **options)
            await perform(client, None, drive.finished(_task_ids(answer), self._raise_errors))
            return answer

        return start_and_run

    def _drive(self, workflow: Workflow | str, codec: Codec | None) -> tuple[Drive, list[Workflow]]:
        """What drives the tasks, and those workflows that may be the one that is started."""
        known = self._workflows
        if isinstance(workflow, Workflow) and workflow not in known:
            known = (*known, workflow)
        name = workflow.name if isinstance(workflow, Workflow) else workflow.rpartition("/")[2]
        return Drive(known, codec), [each for each in known if each.name == name]


def _task_ids(answer: int | list[int]) -> list[int]:
    return [answer] if isinstance(answer, int) else answer
