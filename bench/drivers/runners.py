"""Runners in processes of their own, and what their handlers do.

Responsible for the workflows whose steps do nothing, for starting runners and ending them, and for
what the handlers noted meanwhile. When there is work, and how much, is left to the rows.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from typing import Any

import structlog

from bench import engine, fleet
from pgtasker import Runner, Workflow

_spawning = multiprocessing.get_context("spawn")
PATIENCE = 60.0  # seconds


@dataclass(slots=True)
class Crew:
    """Processes with runners in them.

    `latencies` has, for each step `timed`, the seconds from the moment in its context to the start
    of its handler; it is filled when the processes have ended.
    """

    process_ids: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def cpu(self) -> float:
        """Seconds of processor that they used so far."""
        return sum(map(fleet.cpu_of, self.process_ids))


def single(name: str = "single", note: Callable[[float], None] | None = None) -> Workflow:
    """One async step; with `note`, it tells how long ago the moment in its context was."""
    workflow = Workflow(name, namespace="bench")
    if note is None:

        @workflow.step
        async def s1() -> Any:
            return engine.RESULTS

    else:

        @workflow.step(name="s1")
        async def timed(context: Any) -> Any:
            note(time.monotonic() - context["at"])
            return engine.RESULTS

    return workflow


def linear() -> Workflow:
    """Six async steps in a row, each of which is given the results of the one before."""
    workflow = Workflow("linear", namespace="bench")

    @workflow.step
    async def s1() -> Any:
        return engine.RESULTS

    @workflow.step
    async def s2(s1: Any) -> Any:
        return engine.RESULTS

    @workflow.step
    async def s3(s2: Any) -> Any:
        return engine.RESULTS

    @workflow.step
    async def s4(s3: Any) -> Any:
        return engine.RESULTS

    @workflow.step
    async def s5(s4: Any) -> Any:
        return engine.RESULTS

    @workflow.step
    async def s6(s5: Any) -> Any:
        return engine.RESULTS

    return workflow


def linear_sync() -> Workflow:
    """The same with plain functions, which a runner executes in threads."""
    workflow = Workflow("linear_sync", namespace="bench")

    @workflow.step
    def s1() -> Any:
        return engine.RESULTS

    @workflow.step
    def s2(s1: Any) -> Any:
        return engine.RESULTS

    @workflow.step
    def s3(s2: Any) -> Any:
        return engine.RESULTS

    @workflow.step
    def s4(s3: Any) -> Any:
        return engine.RESULTS

    @workflow.step
    def s5(s4: Any) -> Any:
        return engine.RESULTS

    @workflow.step
    def s6(s5: Any) -> Any:
        return engine.RESULTS

    return workflow


def holding() -> Workflow:
    """One step that does not end by itself, claimed before anything else."""
    workflow = Workflow("holding", namespace="bench")

    @workflow.step(priority=100)
    async def s1() -> None:
        await asyncio.Event().wait()

    return workflow


def workflows(note: Callable[[float], None]) -> list[Workflow]:
    """All that a runner here can execute."""
    return [single(), single("timed", note), linear(), linear_sync(), holding()]


@contextmanager
def running(
    dsn: str, *, processes: int = 1, concurrency: int = 50, runners: int = 1
) -> Iterator[Crew]:
    """So many processes with so many runners each; all are registered when the block begins, and
    have ended when it is over."""
    crew = Crew()
    started = []
    with engine.connect(dsn) as conn:
        there = _registered(conn)
        for _ in range(processes):
            ours, theirs = _spawning.Pipe()
            process = _spawning.Process(target=_serve, args=(theirs, dsn, concurrency, runners))
            process.start()
            started.append((process, ours))
            crew.process_ids.append(process.pid or 0)
        try:
            _await(conn, there + processes * runners)
            yield crew
        finally:
            for process, _ in started:
                process.terminate()
            for process, pipe in started:
                if pipe.poll(PATIENCE):
                    crew.latencies += pipe.recv()
                process.join(PATIENCE)


def _registered(conn: engine.Connection) -> int:
    return int(engine.value(conn, "select count(*) from list_runners()"))


def _await(conn: engine.Connection, runners: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while _registered(conn) < runners:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{_registered(conn)} of {runners} runners have registered")
        time.sleep(0.02)


def _serve(pipe: Pipe, dsn: str, concurrency: int, runners: int) -> None:
    """What a process with runners does until it is told to stop."""
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    latencies: list[float] = []
    crew = [
        Runner(
            dsn,
            workflows(latencies.append),
            schema="pgtasker",
            name=f"bench-{number}",
            concurrency=concurrency,
            register=False,
            grace=1.0,
        )
        for number in range(runners)
    ]
    if runners == 1:
        crew[0].run_forever()
    else:
        asyncio.run(_run_all(crew))
    pipe.send(latencies)


async def _run_all(crew: list[Runner]) -> None:
    def stop() -> None:
        for runner in crew:
            runner.stop()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    await asyncio.gather(*(runner.run() for runner in crew))
