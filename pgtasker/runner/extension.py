"""What attempts tell the database while they run: more time, progress, "do I still count?".

Responsible for telling it whatever happens to the connection or to the handler meanwhile, as long
as the attempt counts. Who may ask, and what follows from a lost claim, is left to `execution`.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pgtasker import surface
from pgtasker.rows import Json
from pgtasker.runner.attempt import Attempt
from pgtasker.runner.link import Link, Trouble, is_transient
from pgtasker.runner.step import no_longer_counts


class Extensions:
    """Extensions of attempts, over the work connection."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._under_way: set[asyncio.Task[None]] = set()

    async def __call__(self, attempt: Attempt, timeout: float | None, progress: Json) -> None:
        """Give the attempt `timeout` seconds from now, record its progress, or both.

        Raises ClaimLost if it no longer counts, and what the database says of a bad value.
        """
        # A task of its own: a handler that is cancelled must not break off what is being sent.
        task = asyncio.create_task(self._extend(attempt, timeout, progress))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also if nobody waits for it any more

    async def _extend(self, attempt: Attempt, timeout: float | None, progress: Json) -> None:
        claim = attempt.claim
        time = None if timeout is None else timedelta(seconds=timeout)
        call = surface.extend_step(claim.workflow_step_id, claim.claim_id, time, progress)
        while not attempt.cancelled:
            try:
                await self._link.execute(call)
                return
            except Trouble as error:
                if not is_transient(error):
                    raise
                await self._link.recover(error)
        raise no_longer_counts()
