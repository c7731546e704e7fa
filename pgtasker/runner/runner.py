"""The runner: claims steps, has them executed, reports how they ended.

Responsible for its options, its beginning and its end. In between two loops talk to the database,
each on a connection of its own: `control` stands for the runner, `work` reports and claims.
Finished work is kept until an `advance` has taken it, whatever happens meanwhile.

The database decides everything else. Executing is left to `execution`, the rhythm to the
`coordination`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from pgtasker import surface
from pgtasker.codec import Codec
from pgtasker.dsn import resolve_dsn, resolve_schema, shown
from pgtasker.errors import ConfigurationError, RunnerExpired, WorkflowError, one_line
from pgtasker.runner import loop, worker
from pgtasker.runner.control import Control
from pgtasker.runner.coordination import Coordination, EventDriven
from pgtasker.runner.encoding import EncodingExecutor
from pgtasker.runner.execution import MOST_SLOTS
from pgtasker.runner.executors import AsyncExecutor, Executor, ThreadExecutor
from pgtasker.runner.health import LONGEST_STALL, Health, Pulse
from pgtasker.runner.link import Trouble
from pgtasker.runner.processes import ProcessExecutor
from pgtasker.runner.shared import Options, Shared
from pgtasker.runner.work import Work
from pgtasker.service.logs import logger
from pgtasker.workflow import Workflow
from pgtasker.workflow_step import EXECUTORS

FAREWELL = 5.0  # seconds for the last report, for deregistering, and for handlers to clean up


class Runner:
    """Executes the steps of workflows until it is told to stop.

    `queues` default to those of the workflows; `concurrency` is how many steps may run at once;
    `grace` is how many seconds they may still take after `stop`. With `register` the workflows are
    stored first; other content under a known version is refused unless `replace`. `transactions` is
    how many coroutine functions, and how many plain functions, may have a connection of their own
    at once that they complete on (`step.connection()`); further ones wait for it.

    `coordination` says how it waits for work: `EventDriven()`, `Polling(interval)`, or
    `UntilEmpty(wait)` for one pass. `executors` puts other objects in the place of the executors
    `async`, `thread` and `process`. `codec` decodes contexts and results for the handlers, and
    encodes what they return: see `Codec`.

    A step with `concurrency=` runs at most so many times at once here, one with the executor
    `process` as often as there are processes. What is claimed beyond that is held: it occupies one
    of the runner's slots, no other runner gets it, and it begins in order; its timeout does not run
    meanwhile. So a step with a limit had better have a queue of its own, and a runner whose
    `concurrency` is not much more than the limit.

    While handlers take no longer than a claim, so many more steps are claimed as will end during
    the next one: up to four for each slot, 200 in all. What finds no slot within 0.2 s goes back,
    and the attempt does not count.

    Raises ConfigurationError, or WorkflowError for a step that its executor cannot execute.
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
        transactions: int = 10,
        register: bool = True,
        replace: bool = False,
        coordination: Coordination | None = None,
        executors: Mapping[str, Executor] | None = None,
        codec: Codec | None = None,
    ) -> None:
        self.workflows = tuple(workflows)
        if not self.workflows:
            raise ConfigurationError("a runner needs at least one workflow")
        if not 1 <= concurrency <= MOST_SLOTS:
            raise ConfigurationError(f"concurrency must be 1 to {MOST_SLOTS}, not {concurrency}")
        if transactions < 1:
            raise ConfigurationError(f"transactions must be at least 1, not {transactions}")
        for place in executors or ():
            if place not in EXECUTORS:
                raise ConfigurationError(
                    f"no step asks for an executor {place!r}: there are {', '.join(EXECUTORS)}"
                )
        chosen: dict[str, Executor] = {
            "async": AsyncExecutor(),
            "thread": ThreadExecutor(),
            "process": ProcessExecutor(),
            **(executors or {}),
        }
        if codec is not None:
            chosen = {place: EncodingExecutor(each, codec) for place, each in chosen.items()}
        self.name = name or f"{socket.gethostname()}-{os.getpid()}"
        self.queues = tuple(queues or _queues_of(self.workflows))
        self._options = Options(
            dsn=resolve_dsn(dsn),
            schema=resolve_schema(schema),
            name=self.name,
            queues=self.queues,
            workflows=self.workflows,
            to_register=self.workflows if register else (),
            replace=replace,
            concurrency=concurrency,
            grace=grace,
            transactions=transactions,
            coordination=coordination or EventDriven(),
            executors=chosen,
            codec=codec,
        )
        if not worker.loading_main:  # where the runner is made again, only to find a function
            _check_executors(self._options)
        self._log = logger("pgtasker").bind(runner=self.name)
        self._shared = Shared(self._options, self._log)
        self._control = Control(self._shared)
        self._work = Work(self._shared)
        self._pulse = Pulse(self._log, self._shared.executions.attempt_of)

    def run_forever(
        self, *, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    ) -> None:
        """Run in an event loop of its own, until SIGTERM or SIGINT; a second one hurries.

        `loop_factory` makes that loop, for example `uvloop.new_event_loop`; else asyncio does.
        """

        async def main() -> None:
            running = asyncio.get_running_loop()
            in_charge = threading.current_thread() is threading.main_thread()
            signals = (signal.SIGTERM, signal.SIGINT) if in_charge else ()
            for number in signals:
                running.add_signal_handler(number, self.stop)
            try:
                await self.run()
            finally:
                for number in signals:
                    running.remove_signal_handler(number)

        loop.run(main(), loop_factory)

    def stop(self) -> None:
        """Claim no more, let what runs finish within the grace period, release the rest, end.

        A second call releases at once. To be called on the thread of the event loop.
        """
        self._shared.stop()

    def health(self) -> Health:
        """How the runner is, from any thread, at any time; asks nobody."""
        shared, stalled, beat_at = self._shared, self._pulse.stalled, self._shared.beat_at
        age = None if beat_at is None else time.monotonic() - beat_at
        live = stalled is not None and stalled < max(LONGEST_STALL, shared.lease)
        fresh = age is not None and age < shared.lease
        return Health(
            live=live,
            ready=live and fresh and shared.runner_id is not None and not shared.stopping,
            stopping=shared.stopping,
            runner=self.name,
            runner_id=shared.runner_id,
            running=shared.executions.open,
            unreported=len(shared.reports),
            last_heartbeat_age=age,
            stalled=stalled,
        )

    async def run(self) -> None:
        """Run until `stop`, or until the coordination has done enough.

        Raises what nobody but a person can put right: ConfigurationError (the schema is missing or
        newer than this package, the server lets nobody in), WorkflowError, or what the database
        says about a workflow.
        """
        if worker.loading_main:
            raise WorkflowError(
                "the main module starts a runner whenever it is loaded, also by a worker process: "
                'start it under if __name__ == "__main__"'
            )
        shared, options = self._shared, self._options
        self._log.info("runner starting", database=shown(options.dsn), schema=options.schema)
        pulse = asyncio.create_task(self._pulse.beat())
        loops = [
            asyncio.create_task(self._control.attend()),
            asyncio.create_task(self._work.work_on()),
        ]
        try:
            await self._during(loops, lambda: shared.stopping)
            self._log.info("runner stopping", running=shared.executions.open)
            shared.executions.release(held_only=True)
            await self._during(
                loops, lambda: shared.hurried or not shared.executions.open, options.grace
            )
            shared.executions.release()
            await self._during(loops, lambda: not shared.reports, FAREWELL)
        finally:
            for each in loops:
                each.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self._leave()
            pulse.cancel()
            await asyncio.gather(pulse, return_exceptions=True)

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
        for each in loops:
            if each.done():
                each.result()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._shared.changed.clear()
            await self._shared.changed.wait()

    async def _leave(self) -> None:
        """Give back what is left and close; if the database is away, the lease does the same."""
        shared = self._shared
        if len(shared.reports):
            self._log.warning("outcomes not reported", count=len(shared.reports))
        shared.executions.release()
        try:
            if shared.runner_id is not None:
                async with asyncio.timeout(FAREWELL):
                    call = surface.deregister_runner(shared.runner_id)
                    await shared.work.execute_anyhow(call)
        except RunnerExpired:
            pass  # it has ended already: the database gave it up, or the first answer was lost
        except (*Trouble, TimeoutError) as error:
            self._log.warning("runner not deregistered", error=one_line(error))
        abandoned = await shared.executions.close(FAREWELL)
        if abandoned:
            self._log.warning("handlers abandoned", count=abandoned)
        await shared.work.close()
        await shared.control.close()
        self._log.info("runner stopped")


def _queues_of(workflows: Iterable[Workflow]) -> list[str]:
    steps = (step for workflow in workflows for step in workflow.steps.values())
    return sorted({step.queue for step in steps})


def _check_executors(options: Options) -> None:
    for workflow in options.workflows:
        for step in workflow.steps.values():
            options.executors[step.executor].check(step)
