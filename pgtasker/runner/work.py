"""The work connection: what was claimed and what ended.

Responsible for reporting what ended and claiming what fits into the free slots, or a little ahead
of them, both with one `advance`. What ends while an `advance` is under way goes with the next one;
nothing waits for a timer. Also for noticing that one pass is over.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from pgtasker import surface
from pgtasker.errors import RunnerExpired
from pgtasker.rows import Advance
from pgtasker.runner.ahead import Pace
from pgtasker.runner.execution import MOST_SLOTS
from pgtasker.runner.link import Trouble, is_refusal
from pgtasker.runner.outcomes import released
from pgtasker.runner.shared import Shared


class Work:
    """The loop that owns the work connection of a runner."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._link = shared.work
        self._pace = Pace(shared.options.concurrency)

    async def work_on(self) -> None:
        """Report and claim, for ever."""
        changed = self._shared.changed
        while True:
            while not self._worth_advancing():
                changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause()):
                        await changed.wait()
            if await self._advance():
                await self._end_if_over()

    def _free_slots(self, ahead: int = 0) -> int:
        """Slots that no claim has, and so many claims ahead of them."""
        shared = self._shared
        if shared.stopping:
            return 0
        return min(max(0, shared.executions.unclaimed + ahead), MOST_SLOTS)

    def _worth_advancing(self) -> bool:
        if self._shared.runner_id is None:
            return False
        return len(self._shared.reports) > 0 or (self._free_slots() > 0 and self._pause() == 0)

    def _pause(self) -> float | None:
        """Seconds until the next look for work; None if only a change can give cause for one."""
        if self._shared.runner_id is None or not self._free_slots():
            return None
        return self._shared.rhythm.seconds(asyncio.get_running_loop().time())

    async def _advance(self) -> bool:
        """Report and claim once; whether it was a look that found nothing."""
        shared, reports = self._shared, self._shared.reports
        async with shared.advancing:
            if shared.runner_id is None:
                return False
            batch = reports.batch()
            self._pace.sent(time.monotonic(), shared.executions.ended)
            asked = 0 if reports.one_by_one else self._free_slots(self._pace.expected)
            call = surface.advance(shared.runner_id, list(batch.values()), asked)
            shared.rhythm.asked()
            try:
                answer = await self._link.execute(call)
            except RunnerExpired:
                shared.expired()
                return False
            except Trouble as error:
                trouble = error
            else:
                self._pace.answered(
                    time.monotonic(),
                    idle=not shared.executions.occupied,
                    claims=len(answer.claimed),
                    text=answer.text_length,
                )
                reports.taken(batch)
                self._take(answer, asked)
                return asked > 0 and not answer.claimed
        if batch and is_refusal(trouble):
            reports.refused(batch, trouble)
        else:
            await self._link.recover(trouble)
        return False

    def _take(self, answer: Advance, asked: int) -> None:
        shared = self._shared
        for claim_id in answer.lost:
            shared.log.info("claim lost", claim_id=claim_id)
        for claim in answer.claimed:
            if shared.stopping:
                shared.reports.add(claim, released())
            else:
                shared.executions.begin(claim)
        shared.rhythm.answered(
            asyncio.get_running_loop().time(), asked=asked, got=len(answer.claimed)
        )
        shared.tell()

    async def _end_if_over(self) -> None:
        """One pass is over when there is nothing to do now and for as long as it may wait."""
        shared, patience = self._shared, self._shared.options.coordination.patience
        if patience is None or shared.executions.open or len(shared.reports):
            return
        try:
            ready, due_in = await self._link.execute(surface.queue_outlook(shared.options.queues))
        except Trouble:
            return  # the next look comes upon it too
        if ready:
            return
        idle = time.monotonic() - shared.executions.worked_at
        if due_in is None or idle + due_in > patience:
            shared.stop()
        else:
            shared.rhythm.sleep(asyncio.get_running_loop().time(), due_in)
