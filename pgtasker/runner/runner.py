"""The runner: claims steps, has them executed, reports how they ended.

Responsible for the conversation with the database. One loop owns the control connection: it
registers the runner, renews its lease, calls `maintain` when that is due, and is woken there. The
other owns the work connection: it reports what ended and claims what fits into the free slots, both
with one `advance`. What ends while an `advance` is under way goes with the next one; nothing waits
for a timer. Finished work is kept until an `advance` has taken it, whatever happens meanwhile.

The database decides everything else. Executing is left to `execution`, the rhythm to `pacing`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta

import structlog

from pgtasker import surface
from pgtasker.dsn import resolve_dsn, resolve_schema, shown
from pgtasker.errors import ConfigurationError, EngineError, RunnerExpired, one_line
from pgtasker.rows import Advance, ClaimedStep, Json
from pgtasker.runner.execution import Executions
from pgtasker.runner.handlers import Handlers
from pgtasker.runner.link import (
    LONGEST_PAUSE,
    SHORTEST_PAUSE,
    Link,
    Trouble,
    is_refusal,
    is_transient,
)
from pgtasker.runner.outcomes import released
from pgtasker.runner.pacing import Pacing
from pgtasker.runner.reports import Reports
from pgtasker.workflow import Workflow

MOST_STEPS = 10_000  # that one advance may claim
FAREWELL = 5.0  # seconds for the last report and for deregistering
LOCK_PATIENCE = 1.0  # seconds that a heartbeat waits for an advance before it asks for less
LONGEST_WAIT = 1.0  # seconds between two looks of the control loop at what the work loop found


class Runner:
    """Executes the steps of workflows until it is told to stop.

    `queues` default to those of the workflows; `concurrency` is how many steps may run at once;
    `grace` is how many seconds they may still take after `stop`. With `register` the workflows are
    stored first; other content under a known version is refused unless `replace`.
    """

    def __init__(
        self,
        dsn: str | None,
        workflows: Iterable[Workflow],
        *,
        queues: Sequence[str] | None = None,
        schema: str | None = None,
        concurrency: int = 50,
        name: str | None = None,
        grace: float = 10.0,
        register: bool = True,
        replace: bool = False,
    ) -> None:
        self.workflows = tuple(workflows)
        if not self.workflows:
            raise ConfigurationError("a runner needs at least one workflow")
        if not 1 <= concurrency <= MOST_STEPS:
            raise ConfigurationError(f"concurrency must be 1 to {MOST_STEPS}, not {concurrency}")
        self.name = name or f"{socket.gethostname()}-{os.getpid()}"
        self.queues = tuple(queues or _queues_of(self.workflows))
        self._dsn = resolve_dsn(dsn)
        self._schema = resolve_schema(schema)
        self._concurrency = concurrency
        self._grace = grace
        self._to_register = self.workflows if register else ()
        self._replace = replace

        self._log = structlog.get_logger("pgtasker").bind(runner=self.name)
        self._control = Link("control", self._dsn, self._schema, self._log)
        self._work = Link("work", self._dsn, self._schema, self._log)
        self._pacing = Pacing()
        self._lease = 15.0
        self._runner_id: int | None = None
        self._enlisted = False  # once it was, nothing but `stop` ends the runner

        self._reports = Reports()
        self._executions = Executions(
            Handlers(self.workflows), self._reports, self._extend, self._tell, self._log
        )
        self._advancing = asyncio.Lock()  # while it is held, what this runner holds is in motion
        self._changed = asyncio.Event()
        self._stopping = False
        self._hurried = False

    def run_forever(self) -> None:
        """Run in an event loop of its own, until SIGTERM or SIGINT; a second one hurries."""

        async def main() -> None:
            loop = asyncio.get_running_loop()
            in_charge = threading.current_thread() is threading.main_thread()
            signals = (signal.SIGTERM, signal.SIGINT) if in_charge else ()
            for number in signals:
                loop.add_signal_handler(number, self.stop)
            try:
                await self.run()
            finally:
                for number in signals:
                    loop.remove_signal_handler(number)

        asyncio.run(main())

    def stop(self) -> None:
        """Claim no more, let what runs finish within the grace period, release the rest, end.

        A second call releases at once. To be called on the thread of the event loop.
        """
        self._hurried = self._stopping
        self._stopping = True
        self._tell()

    async def run(self) -> None:
        """Run until `stop`; raises only what nobody but a person can put right, at the start."""
        self._log.info("runner starting", database=shown(self._dsn), schema=self._schema)
        loops = [asyncio.create_task(self._attend()), asyncio.create_task(self._work_on())]
        try:
            await self._during(loops, lambda: self._stopping)
            self._log.info("runner stopping", running=len(self._executions.claims))
            await self._during(
                loops, lambda: self._hurried or not self._executions.claims, self._grace
            )
            for claim_id in self._executions.claims:
                self._executions.settle(claim_id, released())
            await self._during(loops, lambda: not self._reports, FAREWELL)
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self._leave()

    async def _during(
        self,
        loops: list[asyncio.Task[None]],
        condition: Callable[[], bool],
        timeout: float | None = None,
    ) -> None:
        """Let the loops work until the condition holds; they end by themselves only by an error."""
        reached = asyncio.create_task(self._until(condition))
        try:
            await asyncio.wait(
                [*loops, reached], timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            reached.cancel()
        for loop in loops:
            if loop.done():
                loop.result()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()

    # The control connection.

    async def _attend(self) -> None:
        while True:
            try:
                await self._keep_alive(await self._enlist())
            except RunnerExpired:
                self._expired()
                await asyncio.sleep(SHORTEST_PAUSE)
            except Trouble as error:
                if not self._enlisted and not is_transient(error):
                    raise
                await self._control.recover(error)

    async def _enlist(self) -> int:
        """Register, or on a new connection take up again what stands for the runner."""
        while self._to_register:
            document = self._to_register[0].definition()
            await self._control.execute(surface.register_workflow(document, replace=self._replace))
            self._to_register = self._to_register[1:]
        runner_id = self._runner_id
        if runner_id is None:
            runner_id = await self._control.execute(
                surface.register_runner(self.name, self.queues, _metadata())
            )
        self._lease = await self._control.execute(surface.setting_seconds("lease"))
        # After a restart of the server, the first runner to come back starts the lease in which
        # the others have to.
        longest_pause = min(LONGEST_PAUSE, self._lease / 3)
        self._control.longest_pause = self._work.longest_pause = longest_pause
        self._pacing.poll_interval = await self._control.execute(
            surface.setting_seconds("poll_interval")
        )
        await self._beat(runner_id)
        channel = await self._control.execute(surface.wake_up_channel(runner_id))
        await self._control.execute(surface.listen(channel))
        if self._runner_id is None:
            self._log.info("runner registered", runner_id=runner_id, queues=list(self.queues))
        self._runner_id = runner_id
        self._enlisted = True
        self._pacing.wake()
        self._tell()
        return runner_id

    async def _keep_alive(self, runner_id: int) -> None:
        now = asyncio.get_running_loop().time
        next_beat = now() + self._lease / 3
        next_upkeep = now()
        while self._runner_id == runner_id:
            if now() >= next_beat:
                next_beat = now() + self._lease / 3
                await self._beat(runner_id)
            if now() >= next_upkeep:
                seconds = await self._control.execute(surface.maintain())
                next_upkeep = now() + min(max(seconds, 0.02), self._pacing.poll_interval)
                self._pacing.look()
                self._tell()
            wait = min(next_beat, next_upkeep, now() + LONGEST_WAIT) - now()
            if await self._control.notified(wait):
                self._pacing.wake()
                self._tell()

    async def _beat(self, runner_id: int) -> None:
        """Renew the lease, and compare what is held if no advance changes that meanwhile."""
        try:
            async with asyncio.timeout(LOCK_PATIENCE):
                await self._advancing.acquire()
        except TimeoutError:
            await self._control.execute(surface.heartbeat(runner_id, None))
            return
        try:
            held = [*self._executions.claims, *self._reports.claims]
            lost = await self._control.execute(surface.heartbeat(runner_id, held))
        finally:
            self._advancing.release()
        for claim_id in lost:
            self._executions.settle(claim_id, None)

    def _expired(self) -> None:
        if self._runner_id is not None:
            self._log.warning("runner expired", runner_id=self._runner_id)
            self._runner_id = None

    # The work connection.

    async def _work_on(self) -> None:
        while True:
            while not self._worth_advancing():
                self._changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause()):
                        await self._changed.wait()
            await self._advance()

    def _free_slots(self) -> int:
        return 0 if self._stopping else max(0, self._concurrency - self._executions.occupied)

    def _worth_advancing(self) -> bool:
        if self._runner_id is None:
            return False
        return len(self._reports) > 0 or (self._free_slots() > 0 and self._pause() == 0)

    def _pause(self) -> float | None:
        """Seconds until the next look for work; None if only a change can give cause for one."""
        if self._runner_id is None or not self._free_slots():
            return None
        return self._pacing.seconds(asyncio.get_running_loop().time())

    async def _advance(self) -> None:
        async with self._advancing:
            if self._runner_id is None:
                return
            batch = self._reports.batch()
            asked = 0 if self._reports.one_by_one else self._free_slots()
            call = surface.advance(self._runner_id, list(batch.values()), asked)
            try:
                answer = await self._work.execute(call)
            except RunnerExpired:
                self._expired()
                return
            except Trouble as error:
                trouble = error
            else:
                self._reports.taken(batch)
                self._take(answer, asked)
                return
        if batch and is_refusal(trouble):
            self._reports.refused(batch, trouble)
        else:
            await self._work.recover(trouble)

    def _take(self, answer: Advance, asked: int) -> None:
        for claim_id in answer.lost:
            self._log.info("claim lost", claim_id=claim_id)
        for claim in answer.claimed:
            if self._stopping:
                self._reports.add(claim, released())
            else:
                self._executions.begin(claim)
        self._pacing.answered(
            asyncio.get_running_loop().time(),
            asked=asked,
            got=len(answer.claimed),
        )
        self._tell()

    async def _extend(self, claim: ClaimedStep, timeout: float | None, progress: Json) -> None:
        time = None if timeout is None else timedelta(seconds=timeout)
        call = surface.extend_step(claim.workflow_step_id, claim.claim_id, time, progress)
        while True:
            try:
                await self._work.execute(call)
                return
            except Trouble as error:
                if not is_transient(error):
                    raise
                await self._work.recover(error)

    # The end.

    async def _leave(self) -> None:
        """Give back what is left and close; if the database is away, the lease does the same."""
        if len(self._reports):
            self._log.warning("outcomes not reported", count=len(self._reports))
        for claim_id in self._executions.claims:
            self._executions.settle(claim_id, released())
        try:
            if self._runner_id is not None:
                async with asyncio.timeout(FAREWELL):
                    await self._work.execute(surface.deregister_runner(self._runner_id))
        except (*Trouble, EngineError, TimeoutError) as error:
            self._log.warning("runner not deregistered", error=one_line(error))
        await self._work.close()
        await self._control.close()
        self._log.info("runner stopped")


def _queues_of(workflows: Iterable[Workflow]) -> list[str]:
    steps = (step for workflow in workflows for step in workflow.steps.values())
    return sorted({step.queue for step in steps})


def _metadata() -> dict[str, Json]:
    from pgtasker import __version__  # the table of contents imports this module

    return {"hostname": socket.gethostname(), "pid": os.getpid(), "pgtasker": __version__}
